"""Processes: those of a distributed training, pools of workers, and interrupts."""
