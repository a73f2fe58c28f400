<?php
/**
 * Installs WordPress into its database without a web server, so that nobody can be faster and claim the new site.
 *
 * It runs in a container of the WordPress image, as the user of the web server, with the site's own WORDPRESS_… variables:
 *
 *   WORDPRESS_URL                   the site's address, unless WORDPRESS_CONFIG_EXTRA defines WP_SITEURL
 *   WORDPRESS_TITLE                 its title
 *   WORDPRESS_ADMIN_USER            the name of the administrator
 *   WORDPRESS_ADMIN_EMAIL           and the mail address
 *   WORDPRESS_ADMIN_PASSWORD_FILE   a file with the password
 *   WORDPRESS_LANGUAGE              de_DE, where the image has it; English without it
 *   WORDPRESS_PUBLIC                0 asks search engines to stay away
 *
 * Nothing is sent to anyone, and a site that is there stays as it is. The rows are written in one transaction: killed at
 * any moment, it can run again.
 */

function finish( $message, $code = 0 ) {
	$GLOBALS['finished'] = true;
	while ( ob_get_level() > 0 ) {
		ob_end_clean();
	}
	fwrite( $code ? STDERR : STDOUT, ( $code ? 'cannot install WordPress: ' : '' ) . $message . "\n" );
	exit( $code );
}

function setting( $name, $default = null ) {
	$value = getenv( $name );
	if ( false !== $value && '' !== trim( $value ) ) {
		return trim( $value );
	}
	return $default ?? finish( "$name is not set", 1 );
}

// What is wrong, in words, when WordPress gives up.
function reason( $message ) {
	$number = mysqli_connect_errno();
	if ( 1045 === $number ) {
		return 'the database at ' . DB_HOST . ' refuses the user ' . DB_USER . ' with this password';
	}
	if ( $number ) {
		return 'the database at ' . DB_HOST . ' does not answer: ' . mysqli_connect_error();
	}
	$text = is_wp_error( $message ) ? $message->get_error_message() : (string) $message;
	if ( false !== strpos( $text, 'select database' ) ) {
		return 'the database at ' . DB_HOST . ' has no database ' . DB_NAME . ' for the user ' . DB_USER;
	}
	return trim( preg_replace( '/\s+/', ' ', html_entity_decode( strip_tags( $text ), ENT_QUOTES ) ) );
}

// These two send mail. WordPress defines them only where nobody did before.
function wp_mail() {
	return false;
}
function wp_new_blog_notification() {
}

$url      = rtrim( setting( 'WORDPRESS_URL', '' ), '/' );
$title    = setting( 'WORDPRESS_TITLE' );
$user     = setting( 'WORDPRESS_ADMIN_USER' );
$email    = setting( 'WORDPRESS_ADMIN_EMAIL' );
$language = setting( 'WORDPRESS_LANGUAGE', '' );
$public   = '0' !== setting( 'WORDPRESS_PUBLIC', '1' );
$file     = setting( 'WORDPRESS_ADMIN_PASSWORD_FILE' );
$password = is_readable( $file ) ? trim( file_get_contents( $file ) ) : finish( "$file cannot be read", 1 );
if ( '' === $password ) {
	finish( "there is no password in $file", 1 );
}
if ( '' !== $url && ! preg_match( '~^https?://[^/]+~', $url ) ) {
	finish( "WORDPRESS_URL is no address of a site: $url", 1 );
}

// Where WordPress gives up, it prints a page and ends as if all were well.
ob_start();
register_shutdown_function(
	function () {
		if ( empty( $GLOBALS['finished'] ) ) {
			finish( 'PHP ended early', 1 );
		}
	}
);
$give_up   = function ( $message ) {
	finish( reason( $message ), 1 );
};
$wp_filter = array(
	// It dies in our words, does not complain of tables that are yet to come, asks nothing of any server, and writes no
	// .htaccess.
	'wp_die_handler'           => array( array( array( 'function' => fn() => $give_up, 'accepted_args' => 1 ) ) ),
	'plugins_loaded'           => array( array( array( 'function' => fn() => $GLOBALS['wpdb']->suppress_errors(), 'accepted_args' => 0 ) ) ),
	'pre_http_request'         => array( array( array( 'function' => fn() => new WP_Error( 'off', 'off' ), 'accepted_args' => 1 ) ) ),
	'flush_rewrite_rules_hard' => array( array( array( 'function' => '__return_false', 'accepted_args' => 1 ) ) ),
);
ini_set( 'default_socket_timeout', '10' );
ini_set( 'zend.exception_ignore_args', '1' );

// As if the site's first page were asked for.
$_SERVER['HTTP_HOST']   = preg_replace( '~^https?://|/.*~', '', '' === $url ? 'http://localhost' : $url );
$_SERVER['REQUEST_URI'] = '/';
if ( 0 === strpos( $url, 'https:' ) ) {
	$_SERVER['HTTPS'] = 'on';
}
define( 'ABSPATH', '/usr/src/wordpress/' );
define( 'WP_INSTALLING', true );
// Tables without a site, left by a run that was killed, are no reason to give up.
define( 'WP_REPAIRING', true );
require ABSPATH . 'wp-config-docker.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

if ( ! defined( 'WP_SITEURL' ) ) {
	define( 'WP_SITEURL', '' === $url ? finish( 'WORDPRESS_URL is not set', 1 ) : $url );
}
if ( sanitize_user( $user, true ) !== $user ) {
	finish( "a user cannot be named `$user`", 1 );
}
if ( ! is_email( $email ) ) {
	finish( "`$email` is no mail address", 1 );
}
if ( '' !== $language && 'en_US' !== $language ) {
	if ( in_array( $language, get_available_languages(), true ) ) {
		load_default_textdomain( $language );
		$wp_locale = new WP_Locale();
	} else {
		fwrite( STDERR, "the image has no language $language: the site begins in English\n" );
		$language = '';
	}
}

// One at a time: a run whose caller was killed may still be there.
if ( '1' !== $wpdb->get_var( "SELECT GET_LOCK( 'install " . md5( DB_NAME . $table_prefix ) . "', 60 )" ) ) {
	finish( 'another installation into the same database does not end', 1 );
}
$there = $wpdb->get_var( "SELECT option_value FROM $wpdb->options WHERE option_name = 'siteurl'" );
$wpdb->suppress_errors( false );
if ( $there ) {
	finish( "WordPress is already installed for $there" );
}
make_db_current_silent();
$wpdb->query( 'START TRANSACTION' );
// The login form compares with slashes, too.
wp_install( $title, $user, $email, $public, '', wp_slash( $password ), $language );
$admin = get_user_by( 'login', $user );
if ( ! $admin || ! $admin->has_cap( 'manage_options' ) ) {
	$wpdb->query( 'ROLLBACK' );
	finish( '' === $wpdb->last_error ? "the user `$user` could not be made" : $wpdb->last_error, 1 );
}
// WordPress asks its own server whether it can have addresses without a query, and here is no server. Apache's can; without
// them there is no /wp-json/.
$wp_rewrite->set_permalink_structure( '/%year%/%monthnum%/%day%/%postname%/' );
if ( false === $wpdb->query( 'COMMIT' ) ) {
	finish( $wpdb->last_error, 1 );
}
finish( 'WordPress is installed for ' . get_option( 'siteurl' ) );
