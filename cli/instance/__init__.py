"""The private instance: PostgreSQL, Redis, FreeRADIUS and Kibali's own processes under one supervisor."""
