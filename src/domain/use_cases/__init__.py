"""What the service does, in terms of its ports: each use case readable from top to bottom.

    Uploads   register · renew · complete · abandon · expire
    PartUploads  offer · join · tidy
    Dispatch  send at once · send · retry
    Outcomes  started · failed · completed · reconcile · expire
    Reports   by worker · by vendor
    Assistants  wanted · step
    Erasure   erase · step
    Retention  step

Reads of the projection are not here: they go straight to SQL.
"""

from domain.use_cases.assistants import Assistants
from domain.use_cases.dispatch import Dispatch
from domain.use_cases.erasure import Erasure, Retention
from domain.use_cases.outcomes import Outcomes
from domain.use_cases.parts import PartUploads
from domain.use_cases.reports import Reports
from domain.use_cases.uploads import Registered, Registration, Uploads

__all__ = [
    "Assistants",
    "Dispatch",
    "Erasure",
    "Outcomes",
    "PartUploads",
    "Registered",
    "Registration",
    "Reports",
    "Retention",
    "Uploads",
]
