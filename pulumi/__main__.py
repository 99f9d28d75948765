"""What ``pulumi up`` runs: the program that the kit's own commands run as well."""

from aansluitkit_landscape import program

program()
