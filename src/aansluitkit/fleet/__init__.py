"""Many customers at once: made, examined, held against each other, asked what a change touches, deployed."""
