"""Backups as they lie on the controller: a folder with parts, and a manifest that proves them."""
