SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.audit_note_unsealed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
    BEGIN
        INSERT INTO audit_unsealed (event_id) VALUES (NEW.id);
        RETURN NULL;
    END $$;
CREATE FUNCTION public.audit_refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
    END $$;
CREATE FUNCTION public.audit_refuse_unless_pruning() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM audit_chain WHERE is_pruning) THEN
            RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NULL;
    END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit_batches (
    seq integer NOT NULL,
    event_count integer NOT NULL,
    first_event_id uuid NOT NULL,
    last_event_id uuid NOT NULL,
    oldest_at timestamp with time zone NOT NULL,
    newest_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    events_digest bytea NOT NULL,
    previous_head bytea NOT NULL,
    head bytea NOT NULL,
    event_digests bytea,
    pruned_at timestamp with time zone,
    mac bytea NOT NULL
);
CREATE TABLE public.audit_chain (
    id integer NOT NULL,
    seq integer NOT NULL,
    head bytea NOT NULL,
    mac bytea NOT NULL,
    is_pruning boolean DEFAULT false NOT NULL
);
CREATE TABLE public.audit_details (
    event_id uuid NOT NULL,
    salt bytea NOT NULL,
    ip character varying(45),
    user_agent character varying(512),
    details json NOT NULL
);
CREATE TABLE public.audit_events (
    id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    action character varying(64) NOT NULL,
    outcome character varying(16) NOT NULL,
    actor_audit_id uuid,
    subject_audit_id uuid,
    correlation_id character varying(64),
    details_digest bytea NOT NULL
);
CREATE TABLE public.audit_seals (
    event_id uuid NOT NULL,
    batch_seq integer NOT NULL,
    "position" integer NOT NULL
);
CREATE TABLE public.audit_unsealed (
    event_id uuid NOT NULL
);
CREATE TABLE public.one_time_tokens (
    id uuid NOT NULL,
    purpose character varying(32) NOT NULL,
    user_id uuid NOT NULL,
    email character varying(254) NOT NULL COLLATE pg_catalog."C",
    requested_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    superseded_at timestamp with time zone
);
CREATE TABLE public.outbox_messages (
    id uuid NOT NULL,
    kind character varying(40) NOT NULL,
    topic character varying(320) COLLATE pg_catalog."C",
    user_id uuid,
    payload json NOT NULL,
    state character varying(16) NOT NULL,
    attempts integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    leased_until timestamp with time zone,
    lease_id uuid,
    finished_at timestamp with time zone,
    last_error character varying(200)
);
CREATE TABLE public.rate_counters (
    key character varying(200) NOT NULL COLLATE pg_catalog."C",
    hits integer NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.roles (
    name character varying(64) NOT NULL COLLATE pg_catalog."C",
    description character varying(200) DEFAULT ''::character varying NOT NULL,
    permissions text DEFAULT ''::text NOT NULL,
    is_built_in boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    generation integer NOT NULL,
    family_digest bytea NOT NULL,
    rotated_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    idle_expires_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ip character varying(45),
    user_agent character varying(512),
    amr json NOT NULL,
    auth_time timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revoke_reason character varying(32)
);
CREATE TABLE public.signing_keys (
    kid character varying(64) NOT NULL COLLATE pg_catalog."C",
    serial integer NOT NULL,
    algorithm character varying(16) NOT NULL,
    public_pem text NOT NULL,
    private_sealed bytea NOT NULL,
    published_at timestamp with time zone NOT NULL,
    active_from timestamp with time zone NOT NULL,
    retire_at timestamp with time zone
);
CREATE TABLE public.user_roles (
    user_id uuid NOT NULL,
    role_name character varying(64) NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.users (
    id uuid NOT NULL,
    audit_id uuid NOT NULL,
    email character varying(254) NOT NULL COLLATE pg_catalog."C",
    email_verified boolean DEFAULT false NOT NULL,
    username character varying(32) COLLATE pg_catalog."C",
    display_name character varying(100),
    name_key character varying(300) COLLATE pg_catalog."C",
    password_hash character varying(255),
    password_version integer DEFAULT 0 NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    mfa_enabled boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_login_at timestamp with time zone,
    failed_sign_ins integer DEFAULT 0 NOT NULL
);
INSERT INTO public.alembic_version VALUES ('0006');
INSERT INTO public.audit_batches VALUES (1, 10, '01a21df7-7008-72a7-b4d2-5df05404cdeb', '01a21df7-7215-7748-b913-d966da640894', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '\xf4bac4d46fc1379ca66cf0d8da5c9f6730920f1b85c31e337d4ce45b34863a9f', '\x0000000000000000000000000000000000000000000000000000000000000000', '\xc97dfb90624de9daaed1466a1378f6ee1f40096c586f637420abd3482fa128bc', '\x86ce9e512e44f78424821df166b1d7dcab7cc4a9491e47fc31fee5e9b0c5067a17ad6617ce6244cbb707f50ae8e60d5cdc6f189ad89d84ccf84202b75362b41f98fc183290de61c31667a7943f99c5f61961c6312340d4d765493e62b03d3d98014cc61cdff447c6ca84a592ba33c8d473ba3a56ddc0c4ba2925a4b500c60205a79293d010557153f3e0102bcafcfbbcb352eedda384d64dd289679e1051341d0bb590ba6af73a2065812b564162902affec760d9913e95377c249515e299624e18952615c2b7a34adf67362b9e61cbd36d1c83faaf20326b0bbfe57a6f244af0fcb563ad5aee436a859adb53ef4eeebb7441b2ae0c51d4b6d0c97578abcd0319b176249ad9eedf69ade75dfd9f1a1631158070ea3e2e0321acffe64dddcb3bdb287b399ff093eec20b38efd970555b2349b4fd60c60e682524fd6f53a318502', NULL, '\x30a6047023368650b3640a184f5cf38512e0de0382c3bf696f50b173a35da57f');
INSERT INTO public.audit_chain VALUES (1, 1, '\xc97dfb90624de9daaed1466a1378f6ee1f40096c586f637420abd3482fa128bc', '\x099a47a181bc975ac97f3a79b2a74c37cbb7e0ecb7a1d8f189fd9f6d40c4088a', false);
INSERT INTO public.audit_details VALUES ('01a21df7-7008-72a7-b4d2-5df05404cdeb', '\x47c5420a26ea7c44691f966d00295566', '127.0.0.1', 'Werkzeug/3.1.9', '{}');
INSERT INTO public.audit_details VALUES ('01a21df7-704a-74a8-a1de-0398b55bd319', '\x764672a92cd71aa7c8c6490c7ba881ee', '127.0.0.1', 'Werkzeug/3.1.9', '{}');
INSERT INTO public.audit_details VALUES ('01a21df7-7071-70e8-9cfc-b826aae740f7', '\x792c8b0340f8cb5f99a5a8d041e82b95', '127.0.0.1', 'Werkzeug/3.1.9', '{}');
INSERT INTO public.audit_details VALUES ('01a21df7-70a8-702e-a1db-beb4c1e7e5cb', '\x6849b9e14a7284ac078ec2badf53f97f', NULL, NULL, '{"granted": ["admin"], "revoked": ["user"]}');
INSERT INTO public.audit_details VALUES ('01a21df7-70c5-74a9-9039-145ecacea738', '\xdbb7c6ca0735b65af8434ad9a8be78cd', NULL, NULL, '{"kid": "e-yZ8MKqPM0KQ2XSN6fBrA", "cause": "due"}');
INSERT INTO public.audit_details VALUES ('01a21df7-70f9-758b-993d-2ad1e3157ab8', '\xf6aa1332d595e5546da898b6bfbddbb9', '127.0.0.1', 'Werkzeug/3.1.9', '{"session_id": "01a21df7-70f3-7698-818d-715028dffe0d", "amr": ["pwd"]}');
INSERT INTO public.audit_details VALUES ('01a21df7-7142-714c-8ce0-b4edf0737cc9', '\x2432b85c528255c5a9960c2720c75fe5', '127.0.0.1', 'Werkzeug/3.1.9', '{"session_id": "01a21df7-7141-728a-a0bc-829c58edcf5e", "amr": ["pwd"]}');
INSERT INTO public.audit_details VALUES ('01a21df7-718a-7433-afd9-07c7570376f3', '\x322274f450a15911781ccfd6656420f0', '127.0.0.1', 'Werkzeug/3.1.9', '{}');
INSERT INTO public.audit_details VALUES ('01a21df7-71cd-7447-9aa9-3dccfd6bd2e4', '\x4c806d0023ad143947429b3788256ca6', '127.0.0.1', 'Werkzeug/3.1.9', '{"roles": ["user"]}');
INSERT INTO public.audit_details VALUES ('01a21df7-7215-7748-b913-d966da640894', '\x841a71ba6aca2396565e4f09d0bc57bd', '127.0.0.1', 'Werkzeug/3.1.9', '{"reason": "wrong_password"}');
INSERT INTO public.audit_details VALUES ('01a21df7-727a-7578-b44c-e253be5335da', '\xb6db10364c2a47662534c8a258e9c77c', '127.0.0.1', 'Werkzeug/3.1.9', '{"reason": "wrong_password"}');
INSERT INTO public.audit_events VALUES ('01a21df7-7008-72a7-b4d2-5df05404cdeb', '2026-11-27 12:00:00+00', 'user.registered', 'success', NULL, '905669f1-1a60-4a94-ac92-f97591716faf', 'dccad13158e74faab90fcfee735e9ffe', '\x4fcdba767e36ce45fa0b3264fc171a0ee44eb62df3bcbc5fee4b7d95a99ceeea');
INSERT INTO public.audit_events VALUES ('01a21df7-704a-74a8-a1de-0398b55bd319', '2026-11-27 12:00:00+00', 'user.registered', 'success', NULL, 'e8c5c645-ad97-4587-98f3-594fde3e3437', '1062127f8bae41488a0f8641de2c059e', '\x0196a948d8cbc5df1e253dee8f7c1f3eecb27a556d6b361880c341beb36d5667');
INSERT INTO public.audit_events VALUES ('01a21df7-7071-70e8-9cfc-b826aae740f7', '2026-11-27 12:00:00+00', 'user.registered', 'success', NULL, '9097dec8-e557-4ad9-8731-b7ce7f15e315', 'a0e301e9429e48eeb76fcf15f0ee112d', '\x380a76703228b697b9d5541a4b5f7714b6d95b46adb9984606e162515f08782b');
INSERT INTO public.audit_events VALUES ('01a21df7-70a8-702e-a1db-beb4c1e7e5cb', '2026-11-27 12:00:00+00', 'user.roles_changed', 'success', NULL, '9097dec8-e557-4ad9-8731-b7ce7f15e315', NULL, '\x094a912fc9c168c30c7c030f15f61ddecc6c0534acfdcd3df328abbf73138b97');
INSERT INTO public.audit_events VALUES ('01a21df7-70c5-74a9-9039-145ecacea738', '2026-11-27 12:00:00+00', 'key.rotated', 'success', NULL, NULL, NULL, '\x844e5f1daf7ce19b20f774a434597ac28864ca728cb8b47c5c66a7937393f630');
INSERT INTO public.audit_events VALUES ('01a21df7-70f9-758b-993d-2ad1e3157ab8', '2026-11-27 12:00:00+00', 'session.started', 'success', '905669f1-1a60-4a94-ac92-f97591716faf', '905669f1-1a60-4a94-ac92-f97591716faf', 'adecebcaf02741b58643f222d870f8b6', '\xb06f0ead2b8112d10d61b8561f3b4169f6ee548a38cf457086bba7612339f143');
INSERT INTO public.audit_events VALUES ('01a21df7-7142-714c-8ce0-b4edf0737cc9', '2026-11-27 12:00:00+00', 'session.started', 'success', '9097dec8-e557-4ad9-8731-b7ce7f15e315', '9097dec8-e557-4ad9-8731-b7ce7f15e315', 'ac9d5555ceda48f58e1328632e212400', '\xe8392924fd50b6b41546b569dfac652bdc973e677801b82dfa691a21ffdc248d');
INSERT INTO public.audit_events VALUES ('01a21df7-718a-7433-afd9-07c7570376f3', '2026-11-27 12:00:00+00', 'user.email_change_requested', 'success', '905669f1-1a60-4a94-ac92-f97591716faf', '905669f1-1a60-4a94-ac92-f97591716faf', '632b470696884a4aa1f0572b5b5321ef', '\x12142e11e87bea34db29ccdcaee0ca0e33088a6ad2eb054a2293241e9e360871');
INSERT INTO public.audit_events VALUES ('01a21df7-71cd-7447-9aa9-3dccfd6bd2e4', '2026-11-27 12:00:00+00', 'user.invited', 'success', '9097dec8-e557-4ad9-8731-b7ce7f15e315', '8ea01644-77a1-4279-85c4-966a6ebeeeda', 'b300136bf9f545deae6e2577bbb8af0e', '\xca16b3c3750f2d99f2e618b9bc49be709c43f2f814dd143ed9db2b8e1fa7a932');
INSERT INTO public.audit_events VALUES ('01a21df7-7215-7748-b913-d966da640894', '2026-11-27 12:00:00+00', 'session.sign_in_failed', 'failure', NULL, 'e8c5c645-ad97-4587-98f3-594fde3e3437', '29a73156a1004c8a892e0346b4f06cdd', '\x9665c94b99c89f81124200df3639d84bd667fe7d38bfdd827b53328d91f0b354');
INSERT INTO public.audit_events VALUES ('01a21df7-727a-7578-b44c-e253be5335da', '2026-11-27 12:00:00+00', 'session.sign_in_failed', 'failure', NULL, 'e8c5c645-ad97-4587-98f3-594fde3e3437', 'cd3e3f50e2ce4271b8b2f7aabbfb815e', '\xa1d45f56bc52eba91267739d63b7ad6f9f675fd73da728ffe3461a89cca78260');
INSERT INTO public.audit_seals VALUES ('01a21df7-7008-72a7-b4d2-5df05404cdeb', 1, 0);
INSERT INTO public.audit_seals VALUES ('01a21df7-704a-74a8-a1de-0398b55bd319', 1, 1);
INSERT INTO public.audit_seals VALUES ('01a21df7-7071-70e8-9cfc-b826aae740f7', 1, 2);
INSERT INTO public.audit_seals VALUES ('01a21df7-70a8-702e-a1db-beb4c1e7e5cb', 1, 3);
INSERT INTO public.audit_seals VALUES ('01a21df7-70c5-74a9-9039-145ecacea738', 1, 4);
INSERT INTO public.audit_seals VALUES ('01a21df7-70f9-758b-993d-2ad1e3157ab8', 1, 5);
INSERT INTO public.audit_seals VALUES ('01a21df7-7142-714c-8ce0-b4edf0737cc9', 1, 6);
INSERT INTO public.audit_seals VALUES ('01a21df7-718a-7433-afd9-07c7570376f3', 1, 7);
INSERT INTO public.audit_seals VALUES ('01a21df7-71cd-7447-9aa9-3dccfd6bd2e4', 1, 8);
INSERT INTO public.audit_seals VALUES ('01a21df7-7215-7748-b913-d966da640894', 1, 9);
INSERT INTO public.audit_unsealed VALUES ('01a21df7-727a-7578-b44c-e253be5335da');
INSERT INTO public.outbox_messages VALUES ('01a21df7-7014-72ca-8ea8-96c40823526c', 'verify_email', 'verify_email:alice@example.com', NULL, '{"email": "alice@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-704b-7613-b468-5ff60bb0e03a', 'verify_email', 'verify_email:bob@example.com', NULL, '{"email": "bob@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-7072-7002-9332-894301e8bc30', 'verify_email', 'verify_email:carol@example.com', NULL, '{"email": "carol@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-7151-74a5-af35-45e90f62cbee', 'reset_password', 'reset_password:bob@example.com', NULL, '{"email": "bob@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-7171-72f0-85f7-5b50a7d5e26b', 'change_email', 'change_email:01a21df7-6fee-70b1-a78a-04fbd3b4863e', '01a21df7-6fee-70b1-a78a-04fbd3b4863e', '{"email": "alice@new.example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-7188-7033-bafc-cc2c3ca7912b', 'email_change_requested', NULL, '01a21df7-6fee-70b1-a78a-04fbd3b4863e', '{"email": "alice@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.outbox_messages VALUES ('01a21df7-71ba-75f4-9d68-5641f37d9ea2', 'invitation', 'invitation:01a21df7-719f-765b-81f6-81899853c4de', '01a21df7-719f-765b-81f6-81899853c4de', '{"email": "dave@example.com"}', 'pending', 0, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.rate_counters VALUES ('failures:52e0a4e6dff9870172238d01654b2208038a383311257ece66502f52e87fa1dc', 2, '2026-11-27 12:05:00+00');
INSERT INTO public.rate_counters VALUES ('failures:9aeb4d2ad078ddf41671d77038c863dad81102f27fe26ee6fce1bf050e1bcd39', 2, '2026-11-27 12:01:00+00');
INSERT INTO public.roles VALUES ('admin', 'May do everything.', 'audit:read roles:read roles:write sessions:read sessions:write tokens:introspect users:read users:write', true, '2026-11-27 17:04:44.712621+00', '2026-11-27 17:04:44.712621+00');
INSERT INTO public.roles VALUES ('user', 'Every account has it.', '', true, '2026-11-27 17:04:44.712621+00', '2026-11-27 17:04:44.712621+00');
INSERT INTO public.sessions VALUES ('01a21df7-70f3-7698-818d-715028dffe0d', '01a21df7-6fee-70b1-a78a-04fbd3b4863e', 1, '\x98b9c8070bcbece9dce9e61c5ecb8d64a2a6e6c68bfe332d48c161ae3437f2d5', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-12-11 12:00:00+00', '2026-12-27 12:00:00+00', '127.0.0.1', 'Werkzeug/3.1.9', '["pwd"]', '2026-11-27 12:00:00+00', NULL, NULL);
INSERT INTO public.sessions VALUES ('01a21df7-7141-728a-a0bc-829c58edcf5e', '01a21df7-7069-7261-8838-44e4247e3727', 0, '\x3ca7f06fdf5c4872749a5219e1313316366fac595d061a3c5f7b56fc1193e94a', NULL, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-12-11 12:00:00+00', '2026-12-27 12:00:00+00', '127.0.0.1', 'Werkzeug/3.1.9', '["pwd"]', '2026-11-27 12:00:00+00', NULL, NULL);
INSERT INTO public.signing_keys VALUES ('e-yZ8MKqPM0KQ2XSN6fBrA', 1, 'ES256', '-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyzlVPr+u5WPHWEjHrwELRCeJpN3N
ydqks+wfIgGOeQGkCbZG0qb/K1jGV1yXPrQhjkqaNXO3K957fKEPQKbDpw==
-----END PUBLIC KEY-----
', '\xddb9d190f0edfd8e7aa516be32c0b3577249e1dc4abcda5d2351017022877657490c43c22eff8eac863df3f499d733dd254969a20bfc509f6eaf75f1cabc9f111cd8f68d10fceda26e88306327bf0c251d22aa11aede5717b5368b80bd162611bca59ff32275740130fa2f0ed9d95c35b52de4a9272dd458101cd54ee023e071f25023776270fc0278bf1e186fb3f21fc713355c2c1918fd0572e01cdd9ce761a2595e25ec53', '2026-11-27 12:00:00+00', '2026-11-27 11:59:30+00', NULL);
INSERT INTO public.user_roles VALUES ('01a21df7-6fee-70b1-a78a-04fbd3b4863e', 'user');
INSERT INTO public.user_roles VALUES ('01a21df7-7042-776b-beb9-114f2e6b007a', 'user');
INSERT INTO public.user_roles VALUES ('01a21df7-7069-7261-8838-44e4247e3727', 'admin');
INSERT INTO public.user_roles VALUES ('01a21df7-719f-765b-81f6-81899853c4de', 'user');
INSERT INTO public.users VALUES ('01a21df7-6fee-70b1-a78a-04fbd3b4863e', '905669f1-1a60-4a94-ac92-f97591716faf', 'alice@example.com', false, 'alice', 'Alice', 'alice', '$argon2id$v=19$m=8,t=1,p=1$XOThE0yKTUOhMQoqpPLtQw$SjXXN+B+v0YhHoW6E9IT/aIsNT6jppP/mLNSMzTtgiQ', 0, true, false, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', 0);
INSERT INTO public.users VALUES ('01a21df7-7069-7261-8838-44e4247e3727', '9097dec8-e557-4ad9-8731-b7ce7f15e315', 'carol@example.com', false, 'carol', 'Carol', 'carol', '$argon2id$v=19$m=8,t=1,p=1$NK5ktfZ+IP2SZzWvtrTPZg$dd+nRz3pS1ftap+q6xGIdctTaydjO4BNyyJS1aO9VAU', 0, true, false, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', 0);
INSERT INTO public.users VALUES ('01a21df7-719f-765b-81f6-81899853c4de', '8ea01644-77a1-4279-85c4-966a6ebeeeda', 'dave@example.com', false, NULL, NULL, NULL, NULL, 0, true, false, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, 0);
INSERT INTO public.users VALUES ('01a21df7-7042-776b-beb9-114f2e6b007a', 'e8c5c645-ad97-4587-98f3-594fde3e3437', 'bob@example.com', false, 'bob', 'Bob', 'bob', '$argon2id$v=19$m=8,t=1,p=1$CJ5ISbUMHMhCqg8fnBO8Yg$J49acyV2VLv5pU+jOIoo6JzGVzTEwy+PZktYC8TrBjw', 0, true, false, '2026-11-27 12:00:00+00', '2026-11-27 12:00:00+00', NULL, 2);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.audit_batches
    ADD CONSTRAINT pk_audit_batches PRIMARY KEY (seq);
ALTER TABLE ONLY public.audit_chain
    ADD CONSTRAINT pk_audit_chain PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_details
    ADD CONSTRAINT pk_audit_details PRIMARY KEY (event_id);
ALTER TABLE ONLY public.audit_events
    ADD CONSTRAINT pk_audit_events PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT pk_audit_seals PRIMARY KEY (event_id);
ALTER TABLE ONLY public.audit_unsealed
    ADD CONSTRAINT pk_audit_unsealed PRIMARY KEY (event_id);
ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT pk_one_time_tokens PRIMARY KEY (id);
ALTER TABLE ONLY public.outbox_messages
    ADD CONSTRAINT pk_outbox_messages PRIMARY KEY (id);
ALTER TABLE ONLY public.rate_counters
    ADD CONSTRAINT pk_rate_counters PRIMARY KEY (key);
ALTER TABLE ONLY public.roles
    ADD CONSTRAINT pk_roles PRIMARY KEY (name);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT pk_sessions PRIMARY KEY (id);
ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT pk_signing_keys PRIMARY KEY (kid);
ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT pk_user_roles PRIMARY KEY (user_id, role_name);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT uq_audit_seals_batch_seq_position UNIQUE (batch_seq, "position");
ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT uq_signing_keys_serial UNIQUE (serial);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_audit_id UNIQUE (audit_id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_email UNIQUE (email);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_username UNIQUE (username);
CREATE INDEX ix_audit_batches_pruned_at_newest_at ON public.audit_batches USING btree (pruned_at, newest_at);
CREATE INDEX ix_audit_events_action_id ON public.audit_events USING btree (action, id);
CREATE INDEX ix_audit_events_actor_audit_id_id ON public.audit_events USING btree (actor_audit_id, id);
CREATE INDEX ix_audit_events_occurred_at ON public.audit_events USING btree (occurred_at);
CREATE INDEX ix_audit_events_subject_audit_id_id ON public.audit_events USING btree (subject_audit_id, id);
CREATE INDEX ix_one_time_tokens_email ON public.one_time_tokens USING btree (email);
CREATE INDEX ix_one_time_tokens_expires_at ON public.one_time_tokens USING btree (expires_at);
CREATE INDEX ix_one_time_tokens_user_id ON public.one_time_tokens USING btree (user_id);
CREATE INDEX ix_outbox_messages_due ON public.outbox_messages USING btree (next_attempt_at) WHERE ((state)::text = 'pending'::text);
CREATE INDEX ix_outbox_messages_state_created_at ON public.outbox_messages USING btree (state, created_at);
CREATE INDEX ix_outbox_messages_topic_id ON public.outbox_messages USING btree (topic, id);
CREATE INDEX ix_outbox_messages_user_id_id ON public.outbox_messages USING btree (user_id, id);
CREATE INDEX ix_rate_counters_expires_at ON public.rate_counters USING btree (expires_at);
CREATE INDEX ix_sessions_expires_at ON public.sessions USING btree (expires_at);
CREATE INDEX ix_sessions_revoked_at ON public.sessions USING btree (revoked_at);
CREATE INDEX ix_sessions_user_id_created_at ON public.sessions USING btree (user_id, created_at);
CREATE INDEX ix_user_roles_role_name_user_id ON public.user_roles USING btree (role_name, user_id);
CREATE INDEX ix_users_created_at_id ON public.users USING btree (created_at, id);
CREATE INDEX ix_users_is_active_created_at_id ON public.users USING btree (is_active, created_at, id);
CREATE INDEX ix_users_is_active_id ON public.users USING btree (is_active, id);
CREATE INDEX ix_users_name_key ON public.users USING btree (name_key);
CREATE UNIQUE INDEX uq_one_time_tokens_user_id_purpose ON public.one_time_tokens USING btree (user_id, purpose) WHERE ((used_at IS NULL) AND (superseded_at IS NULL));
CREATE TRIGGER audit_details_no_update BEFORE UPDATE ON public.audit_details FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON public.audit_events FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_unless_pruning();
CREATE TRIGGER audit_events_no_update BEFORE UPDATE OR TRUNCATE ON public.audit_events FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER audit_events_note AFTER INSERT ON public.audit_events FOR EACH ROW EXECUTE FUNCTION public.audit_note_unsealed();
ALTER TABLE ONLY public.audit_details
    ADD CONSTRAINT fk_audit_details_event_id_audit_events FOREIGN KEY (event_id) REFERENCES public.audit_events(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT fk_one_time_tokens_user_id_users FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_user_id_users FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT fk_user_roles_role_name_roles FOREIGN KEY (role_name) REFERENCES public.roles(name) ON DELETE RESTRICT;
ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT fk_user_roles_user_id_users FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
