<?php
/**
 * What guessing passwords costs: a hash is made for every guess, and that takes as long as many pages. So each address has some
 * wrong guesses, and after these one every few seconds; and two passwords are looked at at any moment, of all visitors together.
 * Who has logged in before is known by a cookie and counts for himself, whatever others do at his address (OWASP, "Device
 * Cookies"). It holds for the form and for xmlrpc.php; application passwords have a hash that costs nothing.
 */

( function () {
	// Wrong guesses that are free, and the seconds after which one more is.
	$free    = 20;
	$seconds = 5;
	// Passwords that are looked at at one time, and the seconds for which the next one waits.
	$checks = 2;
	$wait   = 5;
	$cookie = 'provision_known';
	$day    = 86400;

	$site   = json_decode( file_get_contents( __DIR__ . '/site.json' ) );
	$folder = sys_get_temp_dir() . '/provision-logins';
	if ( ! is_dir( $folder ) ) {
		@mkdir( $folder, 0700 );
	}

	// nginx in front says who asks; nobody else reaches this server then.
	$address = '' !== $site->ca ? ( $_SERVER['HTTP_X_REAL_IP'] ?? '' ) : ( $_SERVER['REMOTE_ADDR'] ?? '' );
	$packed  = @inet_pton( $address );
	if ( false !== $packed && 16 === strlen( $packed ) ) {
		// Who has an IPv6 address has all of its network.
		$address = bin2hex( substr( $packed, 0, 8 ) );
	}

	$sign  = fn( $user ) => hash_hmac( 'sha256', "known|$user", AUTH_SALT );
	$known = fn( $user ) => '' !== $user && isset( $_COOKIE[ $cookie ] ) && hash_equals( $sign( strtolower( $user ) ), (string) $_COOKIE[ $cookie ] );

	// A number of files that no guesser can raise. Each holds the time at which all is forgotten.
	$open = function ( $user ) use ( $folder, $known, $address ) {
		$who = $known( $user ) ? 'user ' . strtolower( $user ) : "address $address";
		return @fopen( $folder . '/' . ( crc32( $who ) % 4096 ), 'c+' );
	};
	$forgotten = function ( $file ) {
		rewind( $file );
		return max( (int) fread( $file, 20 ), time() );
	};

	$held = array();

	$before = function ( $found, $user = '', $password = '' ) use ( $open, $forgotten, $free, $seconds, $folder, $checks, $wait, &$held ) {
		if ( '' === (string) $password ) {
			return $found;
		}
		$refuse = function ( $code, $text ) {
			foreach ( array( 'username_password', 'email_password', 'application_password' ) as $way ) {
				remove_filter( 'authenticate', "wp_authenticate_$way", 20 );
			}
			return new WP_Error( $code, $text );
		};
		$file = $open( (string) $user );
		if ( $file ) {
			$until = $forgotten( $file );
			fclose( $file );
			if ( $until - time() > $free * $seconds ) {
				return $refuse( 'provision_too_many', 'Too many wrong passwords came from this address. Try again in some seconds.' );
			}
		}
		$started = microtime( true );
		do {
			for ( $number = 0; $number < $checks; $number++ ) {
				$lock = @fopen( "$folder/check-$number", 'c' );
				if ( ! $lock || flock( $lock, LOCK_EX | LOCK_NB ) ) {
					$held[] = $lock;
					return $found;
				}
				fclose( $lock );
			}
			usleep( 20000 );
		} while ( microtime( true ) - $started < $wait );
		return $refuse( 'provision_busy', 'Too many log in at the moment. Try again in some seconds.' );
	};
	$after = function ( $found ) use ( &$held ) {
		array_map( fn( $lock ) => $lock && fclose( $lock ), $held );
		$held = array();
		return $found;
	};
	$failed = function ( $user, $error = null ) use ( $open, $forgotten, $seconds, $free ) {
		// What was not looked at does not count, so that whoever waits gets in.
		if ( is_wp_error( $error ) && 0 === strpos( (string) $error->get_error_code(), 'provision_' ) ) {
			return;
		}
		$file = $open( is_string( $user ) ? $user : '' );
		if ( ! $file || ! flock( $file, LOCK_EX ) ) {
			return;
		}
		$until = min( $forgotten( $file ) + $seconds, time() + ( $free + 1 ) * $seconds );
		ftruncate( $file, 0 );
		rewind( $file );
		fwrite( $file, (string) $until );
		fclose( $file );
	};
	$right = function ( $user ) use ( $cookie, $sign, $day ) {
		if ( ! headers_sent() ) {
			$options = array( 'expires' => time() + 365 * $day, 'path' => '/', 'httponly' => true, 'secure' => is_ssl(), 'samesite' => 'Lax' );
			setcookie( $cookie, $sign( strtolower( $user ) ), $options );
		}
	};

	// WordPress is not there yet, and takes up what stands in these lists.
	$hook = function ( $name, $priority, $function, $arguments ) {
		if ( function_exists( 'add_filter' ) ) {
			add_filter( $name, $function, $priority, $arguments );
		} else {
			$GLOBALS['wp_filter'][ $name ][ $priority ][] = array( 'function' => $function, 'accepted_args' => $arguments );
		}
	};
	$hook( 'authenticate', 1, $before, 3 );
	$hook( 'authenticate', PHP_INT_MAX, $after, 1 );
	$hook( 'wp_login_failed', 10, $failed, 2 );
	$hook( 'wp_login', 10, $right, 1 );
} )();
