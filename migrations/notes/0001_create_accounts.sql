-- migrate:up

create table accounts (
    id            bigint generated always as identity primary key,
    email         text not null unique check (char_length(email) between 3 and 254),
    password_hash text not null check (char_length(password_hash) between 1 and 1024),
    role          text not null default 'member' check (role in ('member', 'admin')),
    created_at    timestamptz not null default now()
);

-- migrate:down

drop table accounts;
