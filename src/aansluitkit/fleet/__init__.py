"""Many customers at once: each inventory examined, what they may not share, what a partner's change touches, deploys."""
