-- migrate:up

create table notes (
    id         bigint generated always as identity primary key,
    account_id bigint not null references accounts (id) on delete cascade,
    title      text not null check (char_length(title) between 1 and 200),
    body       text not null check (char_length(body) <= 65536),
    created_at timestamptz not null default now()
);

-- An owner's notes, the newest first.
create index notes_account_id_id_idx on notes (account_id, id desc);

-- migrate:down

drop table notes;
