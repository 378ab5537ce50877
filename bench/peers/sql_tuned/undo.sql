-- Back to the stock schema.
ALTER TABLE radacct RESET (fillfactor);
DROP INDEX radacct_open_user_idx, radacct_user_start_idx;
CREATE INDEX radacct_calss_idx ON radacct (Class);
CREATE INDEX radacct_start_user_idx ON radacct (AcctStartTime, UserName);
CREATE INDEX radacct_active_session_idx ON radacct (AcctUniqueId) WHERE AcctStopTime IS NULL;
CREATE INDEX radpostauth_class_idx ON radpostauth (Class);
