"""What Digikoppeling fixes and both the connection model and the adapter need."""

OIN_TYPE = "urn:osb:oin"  # of a PartyId that is an OIN: Koppelvlakstandaard ebMS2 chapter 5
