"""Files whose digits are read at once: arrays, IDX, MATLAB, and folders of pictures."""
