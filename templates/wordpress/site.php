<?php
/**
 * What a deployment adds to the configuration of WordPress: the site's address, the way to itself, and mail. It is read at
 * every request, and takes its settings from site.json beside it.
 */

( function () {
	$site = json_decode( file_get_contents( __DIR__ . '/site.json' ) );

	// Once the address is settled, nothing that a browser says about it counts.
	$address = $site->url;
	if ( $site->any_port ) {
		$address = 'http://' . ( $_SERVER['HTTP_HOST'] ?? 'localhost' );
	}
	if ( '' !== $address ) {
		define( 'WP_HOME', $address );
		define( 'WP_SITEURL', $address );
	}

	// Whether a proxy in front was asked by https, it says itself, and what anybody else says about it does not count. One that
	// says nothing has been asked by the scheme of the site's address.
	if ( $site->behind_proxy && isset( $_SERVER['REMOTE_ADDR'] ) ) {
		$by_proxy = isset( $_SERVER['PROVISION_BY_PROXY'] ) || isset( $_SERVER['REDIRECT_PROVISION_BY_PROXY'] );
		$scheme   = $_SERVER['HTTP_X_FORWARDED_PROTO'] ?? parse_url( $site->url, PHP_URL_SCHEME );
		unset( $_SERVER['HTTPS'] );
		if ( $by_proxy && 'https' === $scheme ) {
			$_SERVER['HTTPS'] = 'on';
		}
	}

	// WordPress is not there yet, and takes up what stands in this list.
	$hook = function ( $name, $function, $arguments ) {
		if ( function_exists( 'add_filter' ) ) {
			add_filter( $name, $function, 10, $arguments );
		} else {
			$GLOBALS['wp_filter'][ $name ][10][] = array( 'function' => $function, 'accepted_args' => $arguments );
		}
	};

	$authority = function ( $url ) {
		$parts = parse_url( $url );
		$port  = $parts['port'] ?? ( 'https' === ( $parts['scheme'] ?? '' ) ? 443 : 80 );
		return strtolower( $parts['host'] ?? '' ) . ':' . $port;
	};
	// The site's own addresses, as HOST:PORT, if they are of the scheme that is spoken inside: who has put TLS of his own in
	// front is reached through that.
	$own = function () use ( $site, $authority ) {
		$scheme    = '' === $site->ca ? 'http:' : 'https:';
		$addresses = array_filter( array( get_option( 'home' ), get_option( 'siteurl' ) ), fn( $url ) => 0 === strpos( $url, $scheme ) );
		return array_values( array_unique( array_map( $authority, $addresses ) ) );
	};

	// What the site asks of itself (scheduled posts, the health check) does not take the way through the host: in a
	// container that port and that name lead elsewhere, or nowhere.
	$hook(
		'http_api_curl',
		function ( $handle, $arguments, $url ) use ( $site, $authority, $own ) {
			$addresses = $own();
			curl_setopt( $handle, CURLOPT_CONNECT_TO, array_map( fn( $one ) => "$one:$site->inside", $addresses ) );
			if ( in_array( $authority( $url ), $addresses, true ) ) {
				curl_setopt( $handle, CURLOPT_PROXY, '' );
			}
		},
		3
	);
	$hook(
		'http_request_args',
		function ( $arguments, $url ) use ( $site, $authority, $own ) {
			if ( '' !== $site->ca && in_array( $authority( $url ), $own(), true ) ) {
				$arguments['sslcertificates'] = $site->ca;
			}
			return $arguments;
		},
		2
	);

	if ( file_exists( __DIR__ . '/logins.php' ) ) {
		require __DIR__ . '/logins.php';
	}
	if ( '' === $site->smtp->host ) {
		return;
	}
	$hook(
		'phpmailer_init',
		function ( $mailer ) use ( $site ) {
			$smtp = $site->smtp;
			$mailer->isSMTP();
			$mailer->Host    = $smtp->host;
			$mailer->Port    = $smtp->port;
			$mailer->Timeout = 30;
			// With a password there is TLS, or no mail.
			$mailer->SMTPSecure = $smtp->tls;
			$mailer->SMTPAuth   = '' !== $smtp->user;
			if ( $mailer->SMTPAuth ) {
				$mailer->Username = $smtp->user;
				$mailer->Password = rtrim( file_get_contents( __DIR__ . '/smtp-password' ), "\r\n" );
			}
			if ( '' !== $smtp->ca ) {
				$mailer->SMTPOptions = array( 'ssl' => array( 'cafile' => $smtp->ca ) );
			} elseif ( '' === $smtp->tls ) {
				// A server that is trusted without TLS is trusted with any certificate.
				$mailer->SMTPOptions = array( 'ssl' => array( 'verify_peer' => false, 'verify_peer_name' => false ) );
			}
		},
		1
	);
	$hook(
		'wp_mail_from',
		// `wordpress@` and the site's name is WordPress's own choice where nobody made one.
		fn( $from ) => 0 === strpos( $from, 'wordpress@' ) ? $site->smtp->from : $from,
		1
	);
} )();
