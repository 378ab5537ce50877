-- One role per kind of process. `./kibali db prepare` gives them their right to log in and their passwords.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['kibali_platform', 'kibali_api', 'kibali_worker', 'kibali_radius'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            RAISE EXCEPTION 'role % does not exist', name
                USING HINT = 'Run `./kibali db prepare` with a KIBALI_DATABASE_URL that may create roles.';
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO kibali_platform, kibali_api, kibali_worker, kibali_radius;
