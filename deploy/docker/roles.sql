-- Who each service is for the database, with the passwords of this installation; run before each migration.
\set ON_ERROR_STOP on
\getenv payments PAYMENTS_PASSWORD
\getenv card CARD_PASSWORD
\getenv issuance ISSUANCE_PASSWORD
\getenv issuance_vault ISSUANCE_VAULT_PASSWORD
select format('create role %I login', role)
from unnest(array['onecard_payments', 'onecard_card', 'onecard_issuance', 'onecard_issuance_vault']) role
where not exists (select from pg_roles where rolname = role) \gexec
alter role onecard_payments login password :'payments';
alter role onecard_card login password :'card';
alter role onecard_issuance login password :'issuance';
alter role onecard_issuance_vault login password :'issuance_vault';
