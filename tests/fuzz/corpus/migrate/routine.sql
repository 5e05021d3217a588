-- migrate:up
create or replace function f() returns int begin atomic select 1; select case when true then 2 end; end;
savepoint s; rollback to s; copy t from '/x'; prepare p as select $1;
