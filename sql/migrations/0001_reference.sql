-- Schemas, and the tables that sessions refer to
-- depends:

-- migrate: apply

create schema core;
create schema config;
create schema validation;
create schema ops;

comment on schema core is 'Seasons, sessions, drivers, what they did and the grades.';
comment on schema config is 'What a person may tune.';
comment on schema validation is 'Checks of the grades against other sources.';
comment on schema ops is 'What was loaded, when and by whom.';

create table core.seasons (
    season smallint primary key check (season between 1950 and 2100)
);

comment on table core.seasons is 'One row per championship year that has a session here.';
comment on column core.seasons.season is 'championship year';

create table core.circuits (
    circuit_id text primary key check (char_length(circuit_id) between 1 and 100),
    circuit_name text check (char_length(circuit_name) <= 200)
);

comment on table core.circuits is 'One row per circuit.';
comment on column core.circuits.circuit_id is 'Jolpica''s stable id of the circuit';
comment on column core.circuits.circuit_name is 'name in the session loaded last that knows it';

create table core.teams (
    team_id text primary key check (char_length(team_id) between 1 and 100),
    team_name text not null check (char_length(team_name) between 1 and 100)
);

comment on table core.teams is 'One row per constructor.';
comment on column core.teams.team_id is 'Jolpica''s stable id of the constructor';
comment on column core.teams.team_name is 'name in the session loaded last';

create table core.drivers (
    driver_id text primary key check (char_length(driver_id) between 1 and 100),
    driver_name text not null check (char_length(driver_name) between 1 and 100),
    driver_code text check (driver_code ~ '^[A-Z0-9]{2,4}$')
);

comment on table core.drivers is 'One row per driver.';
comment on column core.drivers.driver_id is 'Jolpica''s stable id of the driver';
comment on column core.drivers.driver_name is 'full name in the session loaded last';
comment on column core.drivers.driver_code is
    'three-letter code in the session loaded last that knows it; reused over eras';

-- migrate: rollback

drop table core.drivers;
drop table core.teams;
drop table core.circuits;
drop table core.seasons;
drop schema ops;
drop schema validation;
drop schema config;
drop schema core;
