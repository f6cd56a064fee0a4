-- The guard counts what all incidents together intended lately, whatever the target.
create index action_log_at on action_log (at);
