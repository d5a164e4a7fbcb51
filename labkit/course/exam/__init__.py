"""The exam: scenarios that break or demand something real, practised with hints or sat against the clock."""
