"""What the computer gives: files whole or not at all, threads, the machine in words."""
