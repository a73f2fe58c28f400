<?php
/**
 * Gives a site that was loaded from a dump its new address, wherever the old one stands in its tables: in texts, in the values
 * that PHP has written out (their lengths stay right), in JSON and in parts of other addresses. Then its tables are brought to
 * the version of WordPress that is here.
 *
 * It runs in a container of the WordPress image, with the site's own WORDPRESS_… variables; the new address stands in site.json.
 * The table `provision_import` says how far an import is. It goes last, and without it there is nothing to do. All rows are
 * written in one transaction: killed at any moment, it can run again.
 */

function finish( $message, $code = 0 ) {
	$GLOBALS['finished'] = true;
	while ( ob_get_level() > 0 ) {
		ob_end_clean();
	}
	fwrite( $code ? STDERR : STDOUT, ( $code ? 'cannot take the site over: ' : '' ) . $message . "\n" );
	exit( $code );
}

/** An old address, its forms, and the new one. */
final class Address {
	/** Pairs of a pattern and what takes its place, with its scheme and without. */
	private array $forms = array();
	/** A word that each text has in which the address stands. */
	public string $mark;

	public function __construct( string $old, string $new ) {
		$parts      = parse_url( $old );
		$this->mark = $parts['host'] ?? '';
		$authority  = $this->mark . ( isset( $parts['port'] ) ? ':' . $parts['port'] : '' );
		$path       = rtrim( $parts['path'] ?? '', '/' );
		// As it is, in JSON, in JSON within JSON, and in the query of another address.
		foreach ( array( array( '/', ':' ), array( '\\/', ':' ), array( '\\\\\\/', ':' ), array( '%2F', '%3A' ) ) as list( $slash, $colon ) ) {
			$form = fn( $text ) => str_replace( array( ':', '/' ), array( $colon, $slash ), $text );
			$quote = fn( $text ) => preg_quote( $form( $text ), '~' );
			// Another address that only begins like this one is left alone.
			$end           = '(?![A-Za-z0-9_-]|\.[A-Za-z0-9]|(?::|%3A)[0-9])';
			$this->forms[] = array(
				'~(?:https?' . $quote( ':' ) . '|(?<!:)(?<!%3A))' . $quote( '//' . $authority . $path ) . $end . '~i',
				$form( $new ),
				$form( preg_replace( '~^https?:~', '', $new ) ),
			);
		}
	}

	public function replace( string $text ): string {
		foreach ( $this->forms as list( $pattern, $whole, $bare ) ) {
			$done = preg_replace_callback( $pattern, fn( $found ) => 0 === stripos( $found[0], 'http' ) ? $whole : $bare, $text );
			$text = $done ?? $text;
		}
		return $text;
	}
}

/**
 * A value as PHP's serialize() writes it, from a position on, with each string in it replaced; null if it is none. Objects are
 * not made of it, and nothing of it is run.
 */
function written_out( string $text, int &$at, callable $swap, int $depth = 0 ): ?string {
	if ( $depth > 500 ) {
		return null;
	}
	if ( preg_match( '~\G(?:N|[bidrR]:[^;"]*);~A', $text, $found, 0, $at ) ) {
		$at += strlen( $found[0] );
		return $found[0];
	}
	if ( preg_match( '~\G([sE]):(\d+):"~A', $text, $found, 0, $at ) ) {
		$start  = $at + strlen( $found[0] );
		$length = (int) $found[2];
		if ( '";' !== substr( $text, $start + $length, 2 ) ) {
			return null;
		}
		$inner = substr( $text, $start, $length );
		$inner = 's' === $found[1] ? $swap( $inner ) : $inner;
		$at    = $start + $length + 2;
		return $found[1] . ':' . strlen( $inner ) . ':"' . $inner . '";';
	}
	if ( preg_match( '~\GC:\d+:"[^"]*":(\d+):\{~A', $text, $found, 0, $at ) ) {
		// What a class writes in a form of its own.
		$start  = $at + strlen( $found[0] );
		$length = (int) $found[1];
		if ( '}' !== substr( $text, $start + $length, 1 ) ) {
			return null;
		}
		$at = $start + $length + 1;
		return substr( $text, $start - strlen( $found[0] ), strlen( $found[0] ) + $length + 1 );
	}
	if ( ! preg_match( '~\G(?:a|O:\d+:"[^"]*"):(\d+):\{~A', $text, $found, 0, $at ) ) {
		return null;
	}
	$at  += strlen( $found[0] );
	$done = $found[0];
	$same = fn( $key ) => $key;
	for ( $left = (int) $found[1]; $left > 0; $left-- ) {
		$key   = written_out( $text, $at, $same, $depth + 1 );
		$value = null === $key ? null : written_out( $text, $at, $swap, $depth + 1 );
		if ( null === $value ) {
			return null;
		}
		$done .= $key . $value;
	}
	if ( '}' !== ( $text[ $at ] ?? '' ) ) {
		return null;
	}
	++$at;
	return $done . '}';
}

/** A text with the addresses replaced, whatever is written out in it. */
function replaced( string $text, array $addresses, int $depth = 0 ): string {
	if ( $depth < 10 && preg_match( '~^\s*[asOC]:\d+:~', $text ) ) {
		$start = strspn( $text, " \t\r\n" );
		$at    = $start;
		$done  = written_out( $text, $at, fn( $inner ) => replaced( $inner, $addresses, $depth + 1 ) );
		if ( null !== $done && '' === trim( substr( $text, $at ) ) ) {
			return substr( $text, 0, $start ) . $done . substr( $text, $at );
		}
	}
	foreach ( $addresses as $address ) {
		$text = $address->replace( $text );
	}
	return $text;
}

/** What is done to the database of the site. */
final class Import {
	private mysqli $database;
	private string $name;
	private string $prefix;

	public function __construct( string $host, string $user, string $password, string $name, string $prefix ) {
		mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
		$this->database = new mysqli( $host, $user, $password, $name );
		$this->database->set_charset( 'utf8mb4' );
		// A text that does not fit is not cut off; a date of an old table is let be.
		$this->database->query( "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'" );
		$this->name   = $name;
		$this->prefix = $prefix;
		$lock         = "provision import $name";
		if ( '1' !== (string) $this->one( 'SELECT GET_LOCK(?, 120)', array( substr( $lock, 0, 60 ) ) ) ) {
			finish( 'another import into the same database does not end', 1 );
		}
	}

	private function rows( string $sql, array $values = array() ): array {
		$result = $this->database->execute_query( $sql, $values );
		return is_bool( $result ) ? array() : $result->fetch_all( MYSQLI_NUM );
	}

	private function one( string $sql, array $values = array() ) {
		return $this->rows( $sql, $values )[0][0] ?? null;
	}

	private static function quoted( string $name ): string {
		return '`' . str_replace( '`', '``', $name ) . '`';
	}

	public function stage(): ?string {
		$there = $this->one(
			"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = 'provision_import'",
			array( $this->name )
		);
		return $there ? (string) $this->one( 'SELECT stage FROM provision_import' ) : null;
	}

	public function option( string $name ): ?string {
		$table = self::quoted( $this->prefix . 'options' );
		return $this->one( "SELECT option_value FROM $table WHERE option_name = ?", array( $name ) );
	}

	private function set( string $name, string $value ): void {
		$table = self::quoted( $this->prefix . 'options' );
		$this->rows( "UPDATE $table SET option_value = ? WHERE option_name = ?", array( $value, $name ) );
	}

	/** Rewrites every table of the site, all or nothing, and tells how many rows. */
	public function rewrite( string $new ): int {
		$old = array_filter( array_unique( array_map( fn( $url ) => rtrim( (string) $url, '/' ), array( $this->option( 'siteurl' ), $this->option( 'home' ) ) ) ) );
		// The longer one first: the other may be its beginning.
		usort( $old, fn( $one, $other ) => strlen( $other ) - strlen( $one ) );
		$addresses = array_map( fn( $one ) => new Address( $one, $new ), array_filter( $old, fn( $one ) => $one !== $new && parse_url( $one, PHP_URL_HOST ) ) );
		$this->database->begin_transaction();
		$changed = 0;
		foreach ( $addresses ? $this->tables() : array() as $table ) {
			$changed += $this->rewrite_table( $table, $addresses );
		}
		$this->set( 'siteurl', $new );
		$this->set( 'home', $new );
		// A folder of the old host.
		$path = (string) $this->option( 'upload_path' );
		if ( '' !== $path && '/' === $path[0] && 0 !== strpos( $path, '/var/www/html/' ) ) {
			$this->set( 'upload_path', '' );
		}
		$this->rows( "UPDATE provision_import SET stage = 'rewritten'" );
		$this->database->commit();
		return $changed;
	}

	private function tables(): array {
		$found = $this->rows(
			"SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE' AND LEFT(table_name, ?) = ?",
			array( $this->name, strlen( $this->prefix ), $this->prefix )
		);
		return array_column( $found, 0 );
	}

	private function rewrite_table( string $table, array $addresses ): int {
		$columns = $this->rows(
			'SELECT column_name, data_type, column_key FROM information_schema.columns WHERE table_schema = ? AND table_name = ? AND extra NOT LIKE ?',
			array( $this->name, $table, '%GENERATED%' )
		);
		$texts   = array( 'char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'json', 'blob', 'mediumblob', 'longblob' );
		// What names a post for ever is no address (wordpress.org, "Changing The Site URL").
		$guid    = $this->prefix . 'posts' === $table ? 'guid' : null;
		$wanted  = array_filter( $columns, fn( $column ) => in_array( strtolower( $column[1] ), $texts, true ) && $column[0] !== $guid );
		$keys    = array_column( array_filter( $columns, fn( $column ) => 'PRI' === $column[2] ), 0 );
		$changed = 0;
		foreach ( array_column( $wanted, 0 ) as $column ) {
			$changed += $this->rewrite_column( $table, $column, $keys, $addresses );
		}
		return $changed;
	}

	private function rewrite_column( string $table, string $column, array $keys, array $addresses ): int {
		list( $of, $name ) = array( self::quoted( $table ), self::quoted( $column ) );
		$marks             = array_values( array_unique( array_map( fn( $address ) => $address->mark, $addresses ) ) );
		$has               = implode( ' OR ', array_fill( 0, count( $marks ), "INSTR(LOWER(CONVERT($name USING utf8mb4)), ?) > 0" ) );
		$marks             = array_map( 'strtolower', $marks );
		$changed           = 0;
		// One row is one by its key; without one, all rows with the same text are changed at once.
		$by    = $keys ? array_map( fn( $key ) => self::quoted( $key ), $keys ) : array( $name );
		$where = $keys ? implode( ' AND ', array_map( fn( $key ) => "$key = ?", $by ) ) : "CAST($name AS BINARY) = CAST(? AS BINARY)";
		foreach ( $this->rows( 'SELECT DISTINCT ' . implode( ', ', $by ) . " FROM $of WHERE $has", $marks ) as $key ) {
			$text = $keys ? $this->one( "SELECT $name FROM $of WHERE $where", $key ) : $key[0];
			if ( null === $text ) {
				continue;
			}
			$new = replaced( (string) $text, $addresses );
			if ( $new === (string) $text ) {
				continue;
			}
			try {
				$this->rows( "UPDATE $of SET $name = ? WHERE $where", array( $new, ...$key ) );
				++$changed;
			} catch ( mysqli_sql_exception $error ) {
				// Too long for its column, or there already under that text.
				if ( ! in_array( $error->getCode(), array( 1406, 1062 ), true ) ) {
					throw $error;
				}
				fwrite( STDERR, "a text in $table.$column keeps the old address: {$error->getMessage()}\n" );
			}
		}
		return $changed;
	}

	public function done(): void {
		$this->rows( 'DROP TABLE provision_import' );
	}
}

register_shutdown_function(
	function () {
		if ( empty( $GLOBALS['finished'] ) ) {
			$error = error_get_last();
			finish( 'PHP ended early' . ( $error ? ": {$error['message']}" : '' ), 1 );
		}
	}
);
ini_set( 'memory_limit', '1024M' );
ini_set( 'zend.exception_ignore_args', '1' );
ini_set( 'pcre.backtrack_limit', '100000000' );
set_exception_handler( fn( $error ) => finish( $error->getMessage(), 1 ) );

$setting = fn( $name ) => (string) getenv( $name );
$file    = $setting( 'WORDPRESS_DB_PASSWORD_FILE' );
$prefix  = $setting( 'WORDPRESS_TABLE_PREFIX' ) ?: 'wp_';
$import  = new Import(
	$setting( 'WORDPRESS_DB_HOST' ),
	$setting( 'WORDPRESS_DB_USER' ),
	rtrim( (string) file_get_contents( $file ), "\r\n" ),
	$setting( 'WORDPRESS_DB_NAME' ),
	$prefix
);
$stage   = $import->stage();
if ( null === $stage ) {
	finish( 'there is nothing to take over' );
}
if ( 'loading' === $stage ) {
	finish( 'the dump is not loaded to its end', 1 );
}
$new     = json_decode( (string) file_get_contents( __DIR__ . '/site.json' ) )->url;
$changed = 0;
if ( 'loaded' === $stage && '' !== $new ) {
	$changed = $import->rewrite( $new );
}

// The rest is WordPress's own work. Plugins have no part in it.
ob_start();
$give_up   = function ( $message ) {
	$text = is_wp_error( $message ) ? $message->get_error_message() : (string) $message;
	finish( trim( preg_replace( '/\s+/', ' ', html_entity_decode( strip_tags( $text ), ENT_QUOTES ) ) ), 1 );
};
$wp_filter = array(
	'wp_die_handler'           => array( array( array( 'function' => fn() => $give_up, 'accepted_args' => 1 ) ) ),
	'pre_http_request'         => array( array( array( 'function' => fn() => new WP_Error( 'off', 'off' ), 'accepted_args' => 1 ) ) ),
	'flush_rewrite_rules_hard' => array( array( array( 'function' => '__return_false', 'accepted_args' => 1 ) ) ),
);
$_SERVER['HTTP_HOST']   = preg_replace( '~^https?://|/.*~', '', '' === $new ? 'http://localhost' : $new );
$_SERVER['REQUEST_URI'] = '/';
define( 'ABSPATH', '/usr/src/wordpress/' );
define( 'WP_INSTALLING', true );
require ABSPATH . 'wp-config-docker.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
$there = (int) get_option( 'db_version' );
if ( $there > (int) $wp_db_version ) {
	finish( "the site is of a newer WordPress (its database has the version $there) than the image (version $wp_db_version): give a newer one by --image", 1 );
}
wp_upgrade();
$import->done();
finish( "$changed texts have the new address" );
