"""What can be plugged: backbones, heads, losses and designs."""
