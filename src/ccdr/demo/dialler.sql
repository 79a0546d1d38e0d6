-- The sample dialler's database. Run by a MariaDB administrator; dialler_changes.sql follows between two backups.
--
-- As diallers are: what must not be lost in InnoDB, logs in MyISAM, who sits where and whom to call next in MEMORY.
-- Numbers are +999 (no country's).

CREATE DATABASE dialler CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE dialler;
SET SESSION time_zone = '+00:00';

CREATE TABLE campaign (
    id smallint UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    name varchar(60) NOT NULL UNIQUE,
    dial_level decimal(3, 1) NOT NULL DEFAULT 1.0 CHECK (dial_level BETWEEN 0 AND 20),
    active bool NOT NULL DEFAULT TRUE,
    script mediumtext,
    hours longtext CHECK (json_valid(hours))
) ENGINE = InnoDB COMMENT 'What is dialled, how fast, and what is said';

CREATE TABLE lead (
    id int UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    campaign_id smallint UNSIGNED NOT NULL,
    phone varchar(16) NOT NULL,
    name varchar(80),
    timezone varchar(40) NOT NULL DEFAULT 'Europe/Bucharest',
    status enum ('NEW', 'QUEUE', 'CALLED', 'SALE', 'DNC') NOT NULL DEFAULT 'NEW',
    attempts tinyint UNSIGNED NOT NULL DEFAULT 0,
    last_called timestamp NULL,
    owner varchar(20) AS (concat('C', campaign_id)) STORED,
    UNIQUE KEY one_lead (campaign_id, phone),
    KEY by_status (campaign_id, status),
    CONSTRAINT lead_campaign FOREIGN KEY (campaign_id) REFERENCES campaign (id)
) ENGINE = InnoDB;

CREATE TABLE call_log (
    id bigint UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    lead_id int UNSIGNED NOT NULL,
    agent varchar(20),
    started_at datetime(3) NOT NULL,
    seconds smallint UNSIGNED NOT NULL,
    outcome char(6) NOT NULL,
    KEY by_time (started_at),
    CONSTRAINT call_lead FOREIGN KEY (lead_id) REFERENCES lead (id)
) ENGINE = InnoDB;

CREATE TABLE agent_log (
    id int UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    agent varchar(20) NOT NULL,
    event_time datetime NOT NULL,
    pause_seconds smallint UNSIGNED DEFAULT 0,
    talk_seconds smallint UNSIGNED DEFAULT 0,
    status varchar(6),
    KEY by_agent (agent, event_time)
) ENGINE = MyISAM;

CREATE TABLE hopper (
    lead_id int UNSIGNED PRIMARY KEY,
    campaign_id smallint UNSIGNED NOT NULL,
    priority tinyint NOT NULL DEFAULT 0,
    KEY by_priority (campaign_id, priority) USING BTREE
) ENGINE = MEMORY;

CREATE TABLE live_agent (
    agent varchar(20) PRIMARY KEY,
    seat varchar(12) NOT NULL,
    status enum ('READY', 'INCALL', 'PAUSED') NOT NULL,
    lead_id int UNSIGNED,
    since timestamp NOT NULL
) ENGINE = MEMORY;

INSERT INTO campaign (name, dial_level, active, script, hours)
SELECT concat(elt(1 + seq % 4, 'Vânzări', 'Încasări', 'Reînnoiri', 'Chestionar'), ' ', seq), 1 + seq % 5, seq % 6 <> 0,
       repeat('Bună ziua, vă sun în legătură cu abonamentul dumneavoastră. ', 20),
       json_object('mon-fri', json_array('09:00', '20:00'))
FROM seq_1_to_12;

INSERT INTO lead (campaign_id, phone, name, status, attempts, last_called)
SELECT 1 + seq % 12, concat('+9998', 10000000 + seq), concat(elt(1 + seq % 5, 'Ștefan', 'Ioana', 'Țucu', 'Zoë', '山田'), ' ', seq),
       elt(1 + seq % 4, 'NEW', 'CALLED', 'CALLED', 'SALE'), seq % 4, IF(seq % 4 = 0, NULL, now() - INTERVAL seq MINUTE)
FROM seq_1_to_8000;

INSERT INTO call_log (lead_id, agent, started_at, seconds, outcome)
SELECT 1 + seq % 8000, concat('agent', seq % 60), now(3) - INTERVAL (30001 - seq) MINUTE, seq * 37 % 600,
       elt(1 + seq % 4, 'SALE', 'NA', 'B', 'CALLBK')
FROM seq_1_to_30000;

INSERT INTO agent_log (agent, event_time, pause_seconds, talk_seconds, status)
SELECT concat('agent', seq % 60), now() - INTERVAL (12001 - seq) MINUTE, seq % 90, seq * 31 % 900, elt(1 + seq % 3, 'LOGIN', 'PAUSE', 'TALK')
FROM seq_1_to_12000;

INSERT INTO hopper (lead_id, campaign_id, priority) SELECT id, campaign_id, id % 5 FROM lead WHERE status = 'NEW' LIMIT 600;
INSERT INTO live_agent SELECT concat('agent', seq), concat('SIP/', 100 + seq), elt(1 + seq % 3, 'READY', 'INCALL', 'PAUSED'),
       IF(seq % 3 = 1, seq, NULL), now() FROM seq_0_to_59;

CREATE VIEW sales AS
SELECT c.name, count(*) AS sold FROM call_log l JOIN lead ON lead.id = l.lead_id JOIN campaign c ON c.id = lead.campaign_id
WHERE l.outcome = 'SALE' GROUP BY c.name;

DELIMITER //
CREATE FUNCTION next_lead(campaign smallint UNSIGNED) RETURNS int UNSIGNED READS SQL DATA
RETURN (SELECT lead_id FROM hopper WHERE campaign_id = campaign ORDER BY priority DESC, lead_id LIMIT 1)//
CREATE PROCEDURE refill(IN campaign smallint UNSIGNED, IN how_many int)
BEGIN
    INSERT IGNORE INTO hopper (lead_id, campaign_id)
    SELECT id, campaign_id FROM lead WHERE campaign_id = campaign AND status = 'NEW' ORDER BY id DESC LIMIT how_many;
END//
CREATE TRIGGER call_counts AFTER INSERT ON call_log FOR EACH ROW
    UPDATE lead SET attempts = attempts + 1, status = 'CALLED', last_called = NEW.started_at WHERE id = NEW.lead_id//
CREATE EVENT clear_hopper ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 03:00:00' DISABLE DO DELETE FROM hopper//
DELIMITER ;

-- The backup's user: copy these lines for a server of your own. It reads everything and writes nothing. LOCK TABLES is for
-- MyISAM and MEMORY: no transaction keeps them as they are while they are dumped.
CREATE USER ccdr_backup@localhost;
GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO ccdr_backup@localhost;
GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON dialler.* TO ccdr_backup@localhost;
GRANT SELECT ON mysql.* TO ccdr_backup@localhost;
CREATE USER dialler@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON dialler.* TO dialler@localhost;
