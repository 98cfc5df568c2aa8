"""How long workers hold a claim here: both sides must be told."""

LEASE_S = 5.0
CLAIM_LIFE_S = LEASE_S + 2
