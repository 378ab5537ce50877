"""Columns that hold money: Kenyan shillings with cents, exact."""

from decimal import Decimal
from typing import Annotated

from sqlalchemy import Numeric
from sqlalchemy.orm import mapped_column

Kes = Annotated[Decimal, mapped_column(Numeric(12, 2))]
