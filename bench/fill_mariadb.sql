-- A dialler of @calls calls: indexes, foreign keys, text that compresses as such text does.
create table customer (
  id int primary key, name varchar(80) not null, phone varchar(20) not null, email varchar(80), town varchar(40) not null,
  since date not null) default charset utf8mb4;
create table `call` (
  id bigint primary key, customer_id int not null, agent_id int not null, campaign varchar(20) not null,
  started_at datetime(3) not null, answered_at datetime(3), ended_at datetime(3) not null, direction varchar(3) not null,
  state varchar(10) not null, cause int not null, note varchar(255),
  key call_by_customer (customer_id), key call_by_start (started_at),
  foreign key (customer_id) references customer (id)) default charset utf8mb4;
create table call_event (
  call_id bigint not null, at datetime(3) not null, kind varchar(10) not null, detail json not null,
  key call_event_by_call (call_id)) default charset utf8mb4;
delimiter //
-- Rows from `head` to `last`, one call each; the same SQL appends.
create procedure fill(head bigint, last bigint, calls bigint) modifies sql data
begin
  insert into `call` select g, 1 + floor(rand(g) * (calls div 20)), 1 + floor(rand(g + 1) * 400), concat('campaign ', g % 23),
    s.t, s.t + interval 9 second, s.t + interval floor(rand(g + 2) * 900) second, if(g % 3 = 0, 'in', 'out'),
    elt(1 + floor(rand(g + 3) * 6), 'answered', 'answered', 'answered', 'busy', 'lost', 'machine'), 16 + floor(rand(g) * 20),
    concat(elt(1 + floor(rand(g + 4) * 6), 'no answer', 'call back tomorrow after 17:00', 'wants the contract by e-mail',
      'number not in use', 'sună-l după ora șase', 'interested, appointment made'), ' / ', left(md5(g), 12))
  from (select seq as g, @start + interval floor(seq / calls * 31104000) second as t
        from seq_1_to_1000000000 where seq between head and last) as s;
  insert into call_event select seq, @start + interval floor(seq / calls * 31104000) second,
    elt(1 + floor(rand(seq) * 6), 'queued', 'ringing', 'bridged', 'hold', 'transfer', 'hangup'),
    json_object('channel', concat('SIP/trunk-', seq % 40, '-', hex(seq)), 'codec', 'alaw', 'mos', round(3 + rand(seq), 2),
      'lost', floor(rand(seq + 5) * 50))
  from seq_1_to_1000000000 where seq between head and last;
end//
delimiter ;
set foreign_key_checks = 0, unique_checks = 0;
insert into customer select seq, concat('Ștefan Popescu ', seq), concat('+407', lpad(floor(rand(seq) * 99999999), 8, '0')),
  concat('c', seq, '@example.test'), concat('town ', seq % 320), date '2015-01-01' + interval seq % 3600 day
  from seq_1_to_1000000000 where seq between 1 and @calls div 20;
call fill(1, @calls, @calls);
