/**
 * Varnish's configuration, rendered from options; pure. What it keeps:
 *
 * - Stored is only what says so: a status that allows it and a lifetime in CDN-Cache-Control
 *   (RFC 9213) or, without that, in Cache-Control. Never what sets a cookie or is private or
 *   no-store in either field.
 * - A request with credentials passes: nothing is stored of it, nothing stored answers it.
 * - stale-while-revalidate and stale-if-error become grace; how much of it applies is
 *   decided by the object and the origin's health.
 * - Cache-Tag becomes the key of vmod xkey, by which PURGE finds what is to go. An answer
 *   whose fetch began before a purge is not stored: it may be older than what was purged.
 */
import { fault } from '../../base/errors.ts'

export interface VclOptions {
  readonly origin: { readonly host: string; readonly port: number }
  /** Shown with a purge in the header Purge-Secret, from this machine only. */
  readonly secret: string
  /** A path of the origin that answers 200 while it is well. */
  readonly healthPath?: string
  /** '*' when every origin gets the same answer (CORS); else those that get one of their own. */
  readonly corsOrigins?: readonly string[]
  /** Cookies that say nothing about who asks, taken off before anything else; any other cookie passes. */
  readonly ignoredCookies?: readonly string[]
  /** Headers besides Authorization, Cookie and Tenfold-Token that say who asks. */
  readonly credentialHeaders?: readonly string[]
}

export const purgeSecretHeader = 'purge-secret'
export const purgeTagsHeader = 'xkey-purge'

export function renderVcl(options: VclOptions): string {
  const { origin, secret, healthPath = '/health', corsOrigins = [], ignoredCookies = [], credentialHeaders = [] } = options
  return [
    'vcl 4.1;',
    'import std;',
    'import var;',
    'import xkey;',
    engines(checked(origin.host, /^[\w.:-]+$/, 'host of the origin'), origin.port, checked(healthPath, /^\/[\w./-]*$/, 'health path')),
    receive(checked(secret, /^[\w-]{16,}$/, 'secret of the purge'), corsOrigins, ignoredCookies, credentialHeaders),
    lookup, fetch, answer,
  ].join('\n')
}

/** What is put between quotation marks must not be able to end them. */
function checked(text: string, pattern: RegExp, what: string): string {
  if (pattern.test(text)) return text
  throw fault('TOPOLOGY_REFUSED', `the ${what} of the driver 'varnish' must match ${pattern.source}`)
}

const engines = (host: string, port: number, healthPath: string): string => `
acl purgers {
    "127.0.0.1";
    "::1";
}

probe health {
    .url = "${healthPath}";
    .interval = 500ms;
    .timeout = 2s;
    .window = 3;
    .threshold = 2;
    .initial = 2;
}

backend origin {
    .host = "${host}";
    .port = "${port}";
    .probe = health;
    .connect_timeout = 1s;
    .first_byte_timeout = 35s;
    .between_bytes_timeout = 35s;
}
`

function receive(secret: string, corsOrigins: readonly string[], ignoredCookies: readonly string[], credentialHeaders: readonly string[]): string {
  const names = ['Authorization', 'Tenfold-Token', 'Cookie', ...credentialHeaders.map(name => checked(name, /^[A-Za-z][\w-]*$/, 'credential header'))]
  return `
sub vcl_recv {
    if (req.method == "PURGE") {
        call purge_tags;
    }
    if (req.method !~ "^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$") {
        return (synth(405, "Method Not Allowed"));
    }
    if (req.restarts == 0) {
        unset req.http.X-Tenfold-Has-Stale;
        unset req.http.X-Tenfold-Stale;
    }
${withoutCookies(ignoredCookies)}    # Fails closed: an unknown cookie is a credential.
    if (${names.map(name => `req.http.${name}`).join(' || ')}) {
        return (pass);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Few variants: of what a client sends only what can make a difference.
    if (req.http.Accept-Encoding ~ "(?i)(^|[, ])br(?! *; *q=0(\\.0*)? *(,|$)) *(;|,|$)") {
        set req.http.Accept-Encoding = "br";
    } elsif (req.http.Accept-Encoding ~ "(?i)(^|[, ])gzip(?! *; *q=0(\\.0*)? *(,|$)) *(;|,|$)") {
        set req.http.Accept-Encoding = "gzip";
    } else {
        unset req.http.Accept-Encoding;
    }
${oneOrigin(corsOrigins)}}

sub purge_tags {
    if (client.ip !~ purgers || req.http.Purge-Secret != "${secret}") {
        return (synth(403, "Forbidden"));
    }
    if (!req.http.Xkey-Purge) {
        return (synth(400, "Xkey-Purge is missing"));
    }
    var.global_set("purged", std.time2real(now, 0.0));
    set req.http.X-Tenfold-Gone = xkey.purge(req.http.Xkey-Purge);
    return (synth(200, "Purged"));
}
`
}

function withoutCookies(names: readonly string[]): string {
  if (names.length === 0) return ''
  const list = names.map(name => checked(name, /^[\w-]+$/, 'name of an ignored cookie')).join('|')
  return `    if (req.http.Cookie) {
        set req.http.Cookie = regsuball(req.http.Cookie, "(^|; *)(${list})=[^;]*", "");
        set req.http.Cookie = regsub(req.http.Cookie, "^[; ]+", "");
        if (req.http.Cookie == "") {
            unset req.http.Cookie;
        }
    }
`
}

function oneOrigin(origins: readonly string[]): string {
  if (origins.length === 0 || origins.includes('*')) return '    unset req.http.Origin;\n'
  const list = origins.map(one => checked(one, /^https?:\/\/[\w.:[\]-]+$/, 'CORS origin'))
  return `    if (${list.map(one => `req.http.Origin != "${one}"`).join(' && ')}) {
        unset req.http.Origin;
    }
`
}

const lookup = `
sub vcl_hit {
    set req.http.X-Tenfold-Cache = "HIT";
    if (obj.ttl >= 0s) {
        return (deliver);
    }
    set req.http.X-Tenfold-Cache = "STALE";
    # Older than stale-while-revalidate allows: only an origin that fails makes it good enough.
    if (!req.http.X-Tenfold-Stale && std.healthy(req.backend_hint) && obj.ttl + std.duration(obj.http.X-Tenfold-Revalidate, 0s) < 0s) {
        set req.http.X-Tenfold-Has-Stale = "1";
        set req.grace = 0s;
        return (restart);
    }
    return (deliver);
}

sub vcl_miss {
    set req.http.X-Tenfold-Cache = "MISS";
}

sub vcl_pass {
    set req.http.X-Tenfold-Cache = "PASS";
}
`

/** Seconds of a directive as a duration. The blank in front keeps a text that matches nothing from being one. */
const seconds = (name: string, otherwise = '0s'): string =>
  `std.duration(regsub("- " + var.get_string("control"), "(?i)^.*[\\s,;]${name}=([0-9]{1,9})([\\s,;].*)?$", "\\1s"), ${otherwise})`
const has = (field: string, names: string): string => `${field} ~ "(?i)(^|[\\s,;])(${names})($|[\\s,;=])"`

const fetch = `
sub vcl_backend_fetch {
    var.set_real("begun", std.time2real(now, 0.0));
    var.set_string("stale", bereq.http.X-Tenfold-Has-Stale);
    unset bereq.http.X-Tenfold-Has-Stale;
    unset bereq.http.X-Tenfold-Stale;
    unset bereq.http.X-Tenfold-Cache;
    unset bereq.http.Purge-Secret;
}

sub vcl_backend_response {
    std.collect(beresp.http.Cache-Control);
    std.collect(beresp.http.CDN-Cache-Control);
    std.collect(beresp.http.Cache-Tag);
    std.collect(beresp.http.Vary);
    set beresp.keep = 0s;
    set beresp.grace = 0s;
    unset beresp.http.xkey;
    unset beresp.http.X-Tenfold-Revalidate;
    if (bereq.uncacheable) {
        return (deliver);
    }
    # Any answer that arrives replaces the stale object: an error must not.
    if (beresp.status >= 500 && (bereq.is_bgfetch || var.get_string("stale") == "1")) {
        return (abandon);
    }
    call lifetime;
    if (beresp.ttl <= 0s || beresp.http.Set-Cookie || beresp.http.Vary ~ "\\*"
        || ${has('beresp.http.Cache-Control', 'private|no-store')}
        || ${has('beresp.http.CDN-Cache-Control', 'private|no-store')}
        || (beresp.status != 200 && beresp.status != 204 && beresp.status != 301 && beresp.status != 308 && beresp.status != 404 && beresp.status != 410)) {
        call refuse_to_store;
    }
    if (std.real(var.global_get("purged"), 0.0) >= var.get_real("begun")) {
        call refuse_to_store;
    }
    set beresp.http.xkey = beresp.http.Cache-Tag;
    return (deliver);
}

# The field meant for a CDN decides alone when it is there (RFC 9213).
sub lifetime {
    if (beresp.http.CDN-Cache-Control) {
        var.set_string("control", beresp.http.CDN-Cache-Control);
    } else {
        var.set_string("control", beresp.http.Cache-Control);
    }
    set beresp.ttl = 0s;
    if (${has('var.get_string("control")', 'no-cache')}) {
        return;
    }
    set beresp.ttl = ${seconds('s-maxage', seconds('max-age'))};
    set beresp.grace = ${seconds('stale-while-revalidate')};
    set beresp.http.X-Tenfold-Revalidate = beresp.grace + "s";
    if (${seconds('stale-if-error')} > beresp.grace) {
        set beresp.grace = ${seconds('stale-if-error')};
    }
}

# A mark without a body, so that requests for what is not stored do not queue behind each other.
sub refuse_to_store {
    set beresp.uncacheable = true;
    set beresp.grace = 0s;
    set beresp.ttl = 60s;
    if (beresp.status >= 500) {
        set beresp.ttl = 1s;
    }
    return (deliver);
}

sub vcl_backend_error {
    if (bereq.is_bgfetch || var.get_string("stale") == "1") {
        return (abandon);
    }
    set beresp.ttl = 1s;
    set beresp.uncacheable = true;
    set beresp.http.Content-Type = "application/problem+json";
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "1";
    set beresp.body = {"{"type":"urn:tenfold:error:unavailable","title":"The origin does not answer.","status":503}"};
    return (deliver);
}
`

const answer = `
sub vcl_deliver {
    if (obj.hits > 0) {
        unset resp.http.X-Request-Id;
    }
    set resp.http.X-Cache = req.http.X-Tenfold-Cache;
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Cache-Tag;
    unset resp.http.xkey;
    unset resp.http.X-Tenfold-Revalidate;
    unset resp.http.X-Varnish;
}

sub vcl_synth {
    if (resp.status == 503 && req.http.X-Tenfold-Has-Stale && !req.http.X-Tenfold-Stale) {
        set req.http.X-Tenfold-Stale = "1";
        set req.grace = 365d;
        return (restart);
    }
    set resp.http.Cache-Control = "no-store";
    set resp.http.Content-Type = "application/problem+json";
    set resp.body = {"{"title":""} + resp.reason + {"","status":"} + resp.status + "}";
    unset resp.http.X-Varnish;
    return (deliver);
}
`
