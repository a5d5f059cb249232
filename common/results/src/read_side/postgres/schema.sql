-- Settled results, for readers and for people who want SQL. A copy: what is told from lies in pcs.results.
CREATE TABLE flk_results (
    tenant text COLLATE "C" NOT NULL,
    pcs_id text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    accepted boolean NOT NULL,
    escalated boolean NOT NULL,
    code text NOT NULL,
    d_hat numeric NOT NULL,
    recomputed_d_hat numeric,
    recomputed_budget numeric,
    regime text,
    payload_sha256 text NOT NULL,
    content_sha256 text NOT NULL,
    key_id text,
    signed text,
    origin_log text NOT NULL,
    origin_topic text NOT NULL,
    origin_partition integer NOT NULL,
    origin_offset bigint NOT NULL,
    appended_at timestamptz NOT NULL,
    verified_partition integer NOT NULL,
    verified_offset bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    -- The same in the compact form that flk reads back: a numeric has no minus zero.
    value bytea NOT NULL,
    PRIMARY KEY (tenant, pcs_id)
);
CREATE INDEX flk_results_expires_at ON flk_results (expires_at);

-- How far each partition of pcs.verified is in flk_results; complete where next has reached goal.
CREATE TABLE flk_markers (
    partition integer PRIMARY KEY,
    -- Whose they are: number of partitions, topic of origins, log.
    source text NOT NULL,
    next bigint NOT NULL,
    goal bigint NOT NULL
);

-- Takes one batch of one partition, in one transaction. What it does is written down in the port.
CREATE FUNCTION flk_publish(
    of_partition integer, of_source text, of_log text, of_topic text, batch_from bigint, batch_to bigint, batch_end bigint,
    offsets bigint[], expiries bigint[], vals bytea[], tenants text[], pcs_ids text[], statuses smallint[],
    accepteds boolean[], escalateds boolean[], codes text[], d_hats text[], recomputeds text[], budgets text[],
    regimes text[], payloads text[], contents text[], key_ids text[], signeds text[], origin_partitions integer[],
    origin_offsets bigint[], appended bigint[],
    OUT marker_next bigint, OUT marker_goal bigint
) LANGUAGE plpgsql AS $$
DECLARE
    marker_source text;
BEGIN
    -- Whoever comes second waits here for the first.
    INSERT INTO flk_markers VALUES (of_partition, of_source, 0, 0) ON CONFLICT DO NOTHING;
    SELECT source, next, goal INTO marker_source, marker_next, marker_goal
        FROM flk_markers WHERE partition = of_partition FOR UPDATE;
    IF marker_source <> of_source THEN
        marker_next := 0;
        marker_goal := 0;
    END IF;
    marker_goal := greatest(marker_goal, batch_end);
    IF marker_next >= batch_from THEN
        INSERT INTO flk_results
        SELECT tenant, pcs_id, status, accepted, escalated, code, d_hat::numeric, recomputed::numeric,
            budget::numeric, regime, payload, content, key_id, signed, of_log, of_topic, origin_partition,
            origin_offset, to_timestamp(appended_ms / 1000.0), of_partition, verified_offset, to_timestamp(expires / 1000.0), val
        FROM unnest(offsets, expiries, vals, tenants, pcs_ids, statuses, accepteds, escalateds, codes, d_hats,
            recomputeds, budgets, regimes, payloads, contents, key_ids, signeds, origin_partitions, origin_offsets,
            appended) AS entry (verified_offset, expires, val, tenant, pcs_id, status, accepted, escalated, code,
            d_hat, recomputed, budget, regime, payload, content, key_id, signed, origin_partition, origin_offset,
            appended_ms)
        WHERE verified_offset >= marker_next AND to_timestamp(expires / 1000.0) > clock_timestamp()
        ON CONFLICT (tenant, pcs_id) DO UPDATE SET
            status = excluded.status, accepted = excluded.accepted, escalated = excluded.escalated,
            code = excluded.code, d_hat = excluded.d_hat, recomputed_d_hat = excluded.recomputed_d_hat,
            recomputed_budget = excluded.recomputed_budget, regime = excluded.regime,
            payload_sha256 = excluded.payload_sha256, content_sha256 = excluded.content_sha256,
            key_id = excluded.key_id, signed = excluded.signed, origin_log = excluded.origin_log,
            origin_topic = excluded.origin_topic, origin_partition = excluded.origin_partition,
            origin_offset = excluded.origin_offset, appended_at = excluded.appended_at,
            verified_partition = excluded.verified_partition, verified_offset = excluded.verified_offset,
            expires_at = excluded.expires_at, value = excluded.value;
        marker_next := greatest(marker_next, batch_to);
    END IF;
    UPDATE flk_markers SET source = of_source, next = marker_next, goal = marker_goal
        WHERE partition = of_partition
        AND (source, next, goal) IS DISTINCT FROM (of_source, marker_next, marker_goal);
END
$$;
