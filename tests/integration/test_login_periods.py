"""Where the look-up of a login lets a plan's period begin is where the rule does."""

from datetime import date

import psycopg
import pytest

from isp.period_sql import PERIOD_START
from isp.quota import Period, period_start
from settings import Settings

FIRST, LAST = date(2027, 1, 1), date(2029, 3, 31)  # 2028 is a leap year


@pytest.mark.parametrize(
    ("period", "reset_days"),
    [(Period.DAY, (1, 31)), (Period.WEEK, range(1, 8)), (Period.MONTH, range(1, 32))],
    ids=str,
)
def test_a_period_begins_where_the_rule_has_it(settings: Settings, period: Period, reset_days: range) -> None:
    question = f"""
        SELECT p.limit_reset_day, today, {PERIOD_START}
          FROM (SELECT %(period)s AS limit_period, day::smallint AS limit_reset_day
                  FROM unnest(%(reset_days)s::int[]) day) p,
               (SELECT %(first)s::date + days AS today FROM generate_series(0, %(last)s::date - %(first)s::date) days) t
    """
    values = {"period": period, "reset_days": list(reset_days), "first": FIRST, "last": LAST}
    with psycopg.connect(settings.database_dsn("radius")) as connection:
        rows = connection.execute(question.encode(), values).fetchall()
    assert len(rows) == len(reset_days) * ((LAST - FIRST).days + 1)
    assert [row for row in rows if row[2] != period_start(period, row[0], row[1])] == []


def test_a_validity_begins_on_no_day_of_the_calendar(settings: Settings) -> None:
    validity = "(SELECT 'validity' AS limit_period, 1 AS limit_reset_day) p"
    question = f"SELECT {PERIOD_START} FROM {validity}, (SELECT current_date AS today) t"
    with psycopg.connect(settings.database_dsn("radius")) as connection:
        assert connection.execute(question.encode()).fetchall() == [(None,)]
