@echo off
rem The same as scripts/start_streaming_services.sh. Reviewed, but never run on Windows.
setlocal
cd /d "%~dp0.." || exit /b 1
set "PYTHON=.venv\Scripts\python.exe"
if not exist "%PYTHON%" set "PYTHON=python"
"%PYTHON%" -m vision_stream services start %*
exit /b %ERRORLEVEL%
