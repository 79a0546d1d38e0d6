--
-- PostgreSQL database dump
--

\restrict KEOIgGadvaZW3jGYZ4AWTu24N1q4k5nHhlfsKRatCLSFuitsZNsbeU0S0l6dD3e

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

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

--
-- Name: call_state; Type: TYPE; Schema: public; Owner: postgres
--

CREATE TYPE public.call_state AS ENUM (
    'ringing',
    'answered'
);


ALTER TYPE public.call_state OWNER TO postgres;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    AS $$select 1$$;


ALTER FUNCTION public.f() OWNER TO postgres;

SET default_table_access_method = heap;

--
-- Name: call; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.call (
    id integer NOT NULL,
    state public.call_state,
    note character varying,
    CONSTRAINT call_note_check CHECK (((note)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))
);


ALTER TABLE public.call OWNER TO postgres;

--
-- Name: answered; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.answered AS
 SELECT id
   FROM public.call;


ALTER VIEW public.answered OWNER TO postgres;

--
-- Name: call_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

ALTER TABLE public.call ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.call_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: daily; Type: MATERIALIZED VIEW; Schema: public; Owner: postgres
--

CREATE MATERIALIZED VIEW public.daily AS
 SELECT count(*) AS count
   FROM public.call
  WITH NO DATA;


ALTER MATERIALIZED VIEW public.daily OWNER TO postgres;

--
-- Name: seat; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.seat (
    n integer,
    who text
);


ALTER TABLE public.seat OWNER TO postgres;

--
-- Name: TABLE seat; Type: COMMENT; Schema: public; Owner: postgres
--

COMMENT ON TABLE public.seat IS 'seats';


--
-- Name: call call_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.call
    ADD CONSTRAINT call_pkey PRIMARY KEY (id);


--
-- Name: TABLE call; Type: ACL; Schema: public; Owner: postgres
--

GRANT SELECT ON TABLE public.call TO app_reader;


--
-- Name: daily; Type: MATERIALIZED VIEW DATA; Schema: public; Owner: postgres
--

REFRESH MATERIALIZED VIEW public.daily;


--
-- PostgreSQL database dump complete
--

\unrestrict KEOIgGadvaZW3jGYZ4AWTu24N1q4k5nHhlfsKRatCLSFuitsZNsbeU0S0l6dD3e

