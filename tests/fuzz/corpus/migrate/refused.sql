-- migrate:up
begin;
-- migrate:down option
