"""DICOM in and out: files → Study, and back."""
