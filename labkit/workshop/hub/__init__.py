"""What runs in a workshop's hub: its configuration, the codes, and the places."""
