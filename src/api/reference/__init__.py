"""The API's reference as pages: made from the OpenAPI document, once a process, without scripts."""

from api.reference.operations_page import operations_page
from api.reference.problems_page import problems_page

__all__ = ["operations_page", "problems_page"]
