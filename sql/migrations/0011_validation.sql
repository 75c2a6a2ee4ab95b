-- Proofs of how good the grades are, and other people's rankings to compare them with
-- depends: 0010_model_v2

-- migrate: apply

create table validation.validation_metrics (
    validation_metric_id bigint generated always as identity primary key,
    measured_at timestamptz not null default now(),
    metric_name text not null check (char_length(metric_name) between 1 and 200),
    measure text not null check (char_length(measure) between 1 and 100),
    outcome text check (outcome in ('pace', 'finish', 'qualifying')),
    window_races smallint check (window_races >= 1),
    against text check (char_length(against) between 1 and 200),
    scope text not null check (scope in ('tested', 'all')),
    first_season smallint not null check (first_season between 1950 and 2100),
    last_season smallint not null check (last_season between 1950 and 2100),
    value double precision check (value > '-Infinity' and value < 'Infinity'),
    low double precision check (low > '-Infinity' and low < 'Infinity'),
    high double precision check (high > '-Infinity' and high < 'Infinity'),
    cases integer not null check (cases >= 0),
    constraint one_figure_each unique nulls not distinct (
        measured_at, metric_name, measure, outcome, window_races, against, scope,
        first_season, last_season
    ),
    constraint seasons_in_order check (first_season <= last_season),
    constraint value_within_interval check (low <= high)
);

comment on table validation.validation_metrics is
    'One row per figure of a proof; the rows of one proof share the time.';
comment on column validation.validation_metrics.validation_metric_id is 'order of storing';
comment on column validation.validation_metrics.measured_at is 'when the proof was stored, UTC';
comment on column validation.validation_metrics.metric_name is
    'what was examined: a model with its profile, a baseline, or what a file was called';
comment on column validation.validation_metrics.measure is
    'accuracy, log loss, reliability, car leak …; engine.validity.proof says how each is computed';
comment on column validation.validation_metrics.outcome is
    'duel that is foretold; null for what foretells none';
comment on column validation.validation_metrics.window_races is
    'last grades that are averaged to foretell; null for a state and where nothing is foretold';
comment on column validation.validation_metrics.against is
    'metric that a gain is over, or source of the ranking; null otherwise';
comment on column validation.validation_metrics.scope is
    'tested seasons, or all since the first one with laps';
comment on column validation.validation_metrics.first_season is 'first season examined';
comment on column validation.validation_metrics.last_season is 'last season examined';
comment on column validation.validation_metrics.value is
    'the figure; null if there was nothing to compute it from';
comment on column validation.validation_metrics.low is 'lower end of the 95 % interval';
comment on column validation.validation_metrics.high is 'upper end of the 95 % interval';
comment on column validation.validation_metrics.cases is
    'what was counted: duels, pair-seasons, team-seasons, drives or races';

create table validation.external_rankings (
    ranking_source text not null check (ranking_source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    season smallint not null check (season between 1950 and 2100),
    driver_id text not null check (char_length(driver_id) between 1 and 100),
    rank double precision not null check (rank >= 1 and rank < 'Infinity'),
    imported_at timestamptz not null default now(),
    primary key (ranking_source, season, driver_id)
);

comment on table validation.external_rankings is
    'One row per driver whom somebody else ranked in a season.';
comment on column validation.external_rankings.ranking_source is 'who ranked';
comment on column validation.external_rankings.season is 'championship year';
comment on column validation.external_rankings.driver_id is
    'Jolpica''s stable id of the driver; he need not be stored';
comment on column validation.external_rankings.rank is '1 is the best; equal ranks are allowed';
comment on column validation.external_rankings.imported_at is 'when it was imported, UTC';

-- migrate: rollback

drop table validation.external_rankings;
drop table validation.validation_metrics;
