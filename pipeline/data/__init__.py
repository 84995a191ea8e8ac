"""Data: tables of digits, the file formats that hold them, batches."""
