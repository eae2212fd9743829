-- The simulated registry's holders lie below: the card service registers its own beside them.
\set ON_ERROR_STOP on
select 'alter sequence card.holder_id restart with 1099511627776' where not exists (select from card.holder) \gexec
