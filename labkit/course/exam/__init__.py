"""The exam: scenarios that break or demand something real, for practice with hints or against the clock."""
