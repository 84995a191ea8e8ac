"""Data: tables of digits, file formats, data loaders and augmentation."""
