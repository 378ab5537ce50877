"""Where a plan's period begins, for PostgreSQL."""

# The first day of the period of a plan `p` that holds `today`, as isp.quota.period_start has it; null for a validity.
PERIOD_START = """CASE p.limit_period
    WHEN 'day' THEN today
    WHEN 'week' THEN today - mod(extract(isodow FROM today)::int + 7 - p.limit_reset_day, 7)
    WHEN 'month' THEN (
        SELECT least(first + p.limit_reset_day - 1, (first + interval '1 month')::date - 1)
          FROM (SELECT date_trunc('month', CASE
                    WHEN extract(day FROM today) >= p.limit_reset_day OR extract(day FROM today + 1) = 1
                    THEN today::timestamp ELSE today - interval '1 month' END)::date AS first) month)
END"""
