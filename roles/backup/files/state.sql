-- What is in the database of either adapter, as JSON, and a restore point :point of exactly that: nobody writes meanwhile.
\pset tuples_only on
\pset format unaligned
select to_regclass('public.message') is not null as embedded, to_regclass('public.ebms_message') is not null as ebms_admin \gset
begin;
set local lock_timeout = '10s';
\o /dev/null
\if :embedded
lock table cpa, message in share mode;
\elif :ebms_admin
lock table cpa, ebms_message in share mode;
\endif
select pg_create_restore_point(:'point');
\o
\if :embedded
select json_build_object(
  'adapter', 'embedded',
  'schema_version', (select version_num from alembic_version),
  'messages', (select coalesce(json_object_agg(kind, number), '{}') from (
    select direction || ' ' || coalesce(status, 'signal') kind, count(*) number from message group by 1 order by 1) counted),
  'business_messages', (select count(*) from message where status is not null),
  'cpas', (select coalesce(json_object_agg(id, encode(document, 'base64') order by id), '{}') from cpa));
\elif :ebms_admin
select json_build_object(
  'adapter', 'ebms_admin',
  'schema_version', (select version from flyway_schema_history where success order by installed_rank desc limit 1),
  'messages', (select coalesce(json_object_agg(kind, number), '{}') from (
    select coalesce(status::text, 'signal') kind, count(*) number from ebms_message group by 1 order by 1) counted),
  'business_messages', (select count(*) from ebms_message where status is not null),
  'cpas', (select coalesce(json_object_agg(cpa_id, encode(convert_to(cpa, 'UTF8'), 'base64') order by cpa_id), '{}') from cpa));
\else
select json_build_object('adapter', '', 'schema_version', '', 'messages', '{}'::json, 'business_messages', 0, 'cpas', '{}'::json);
\endif
commit;
