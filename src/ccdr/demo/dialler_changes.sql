-- A few minutes of dialling, between one backup and the next.

SET SESSION time_zone = '+00:00';
INSERT INTO call_log (lead_id, agent, started_at, seconds, outcome)
SELECT lead_id, concat('agent', lead_id % 60), now(3), lead_id % 300, 'NA' FROM hopper;
DELETE FROM hopper WHERE priority > 2;
CALL refill(3, 40);
UPDATE live_agent SET status = 'PAUSED', lead_id = NULL, since = now() WHERE status = 'INCALL';
INSERT INTO agent_log (agent, event_time, pause_seconds, status) SELECT agent, now(), 60, 'PAUSE' FROM live_agent;
INSERT INTO lead (campaign_id, phone, name) SELECT 4, concat('+9998', 20000000 + seq), 'Țărancă' FROM seq_1_to_200;
