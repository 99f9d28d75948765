"""Judging a CPA: its form, the rules of Digikoppeling, and how it differs from what an inventory says."""
