-- A contact centre of :calls calls: partitions, indexes, foreign keys, text that compresses as such text does.
set synchronous_commit = off;
select setseed(0.42);
create table customer (
  id int primary key, name text not null, phone text not null, email text, town text not null, since date not null);
create table call (
  id bigint not null, customer_id int not null, agent_id int not null, campaign text not null,
  started_at timestamptz not null, answered_at timestamptz, ended_at timestamptz not null,
  direction text not null, state text not null, cause int not null, note text,
  primary key (id, started_at)) partition by range (started_at);
create table call_event (call_id bigint not null, at timestamptz not null, kind text not null, detail jsonb not null);
select format('create table call_q%s partition of call for values from (%L) to (%L)', n + 1,
  :'start'::timestamptz + n * interval '90 days', :'start'::timestamptz + (n + 1) * interval '90 days')
from generate_series(0, 3) n \gexec
create table call_default partition of call default;

-- Rows from :first to :last, one call each; the same SQL appends.
create function fill(first bigint, last bigint, calls bigint, customers int, start timestamptz) returns void language plpgsql as $$
declare
  notes text[] := array['no answer', 'call back tomorrow after 17:00', 'wants the contract by e-mail',
    'number not in use', 'complaint: invoice of last month', 'spoke with spouse, asks not to be called',
    'sună-l după ora șase', 'interested, appointment made', 'transferred to second level', null];
  states text[] := array['answered', 'answered', 'answered', 'busy', 'lost', 'machine'];
  kinds text[] := array['queued', 'ringing', 'bridged', 'hold', 'transfer', 'hangup'];
begin
  insert into call select g, 1 + (random() * (customers - 1))::int, 1 + (random() * 400)::int, 'campaign ' || g % 23,
    t, t + interval '9 seconds', t + random() * interval '15 minutes', case when g % 3 = 0 then 'in' else 'out' end,
    states[1 + (random() * 5)::int], 16 + (random() * 20)::int,
    notes[1 + (random() * 9)::int] || ' / ' || substr(md5(g::text), 1, 12)
  from generate_series(first, last) g,
    lateral (select start + (g::float8 / calls) * interval '360 days') as s (t);
  insert into call_event select g, start + (g::float8 / calls) * interval '360 days',
    kinds[1 + (random() * 5)::int], jsonb_build_object('channel', 'SIP/trunk-' || g % 40 || '-' || to_hex(g),
      'codec', 'alaw', 'mos', round((3 + random())::numeric, 2), 'lost', (random() * 50)::int)
  from generate_series(first, last) g;
end $$;

insert into customer select g, 'Ștefan Popescu ' || g, '+407' || lpad((random() * 99999999)::int::text, 8, '0'),
  'c' || g || '@example.test', 'town ' || g % 320, date '2015-01-01' + g % 3600 from generate_series(1, :calls / 20) g;
select fill(1, :calls, :calls, :calls / 20, :'start');
create index call_by_customer on call (customer_id);
create index call_by_start on call (started_at);
create index call_event_by_call on call_event (call_id);
alter table call add foreign key (customer_id) references customer (id);
vacuum analyze;
checkpoint;
