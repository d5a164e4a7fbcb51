"""The class service: keeps what learners did, shows instructors where everyone is, and carries messages."""
