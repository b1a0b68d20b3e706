# The same as scripts/stop_streaming_services.sh. Reviewed, but never run on Windows.
Set-Location -LiteralPath (Join-Path -Path $PSScriptRoot -ChildPath '..') -ErrorAction Stop
$python = Join-Path -Path '.venv' -ChildPath 'Scripts' | Join-Path -ChildPath 'python.exe'
if (-not (Test-Path -LiteralPath $python -PathType Leaf)) { $python = 'python' }
& $python -m vision_stream services stop @args
exit $LASTEXITCODE
