<?php
/**
 * Looks whether a site that was restored beside its own is whole: each published page answers, each uploaded file is there, and an
 * administrator logs in at the form. It is for a copy only: the administrator gets another password. The last line is JSON.
 */

error_reporting( 0 );
define( 'DISABLE_WP_CRON', true );
require '/var/www/html/wp-load.php';

$most   = 500;
$report = array( 'pages' => 0, 'files' => 0, 'wrong' => array() );
$wrong  = function ( $what ) use ( &$report ) {
	if ( count( $report['wrong'] ) < 20 ) {
		$report['wrong'][] = mb_substr( $what, 0, 300 );
	}
};
// Nothing of a copy goes out.
add_filter( 'pre_wp_mail', '__return_false' );

$ids   = get_posts( array( 'post_type' => array( 'post', 'page' ), 'post_status' => 'publish', 'has_password' => false, 'numberposts' => $most, 'fields' => 'ids' ) );
$pages = array_merge( array( home_url( '/' ) ), array_map( 'get_permalink', $ids ) );
foreach ( $pages as $page ) {
	$answer = wp_remote_get( $page, array( 'timeout' => 20, 'redirection' => 3 ) );
	$status = is_wp_error( $answer ) ? $answer->get_error_message() : wp_remote_retrieve_response_code( $answer );
	++$report['pages'];
	if ( 200 !== $status ) {
		$wrong( "the page $page: $status" );
	}
}
foreach ( get_posts( array( 'post_type' => 'attachment', 'post_status' => 'any', 'numberposts' => -1, 'fields' => 'ids' ) ) as $id ) {
	$file = get_attached_file( $id );
	++$report['files'];
	if ( ! $file || ! is_file( $file ) ) {
		$wrong( 'the uploaded file ' . ( $file ?: "number $id" ) . ' is missing' );
	}
}
$admins = get_users( array( 'role' => 'administrator', 'number' => 1 ) );
if ( ! $admins ) {
	$wrong( 'there is no administrator' );
} else {
	$password = bin2hex( random_bytes( 16 ) );
	wp_set_password( $password, $admins[0]->ID );
	$form   = array( 'log' => $admins[0]->user_login, 'pwd' => $password, 'wp-submit' => 'Log In' );
	$cookie = array( 'wordpress_test_cookie' => 'WP%20Cookie%20check' );
	$answer = wp_remote_post( wp_login_url(), array( 'timeout' => 30, 'redirection' => 0, 'body' => $form, 'cookies' => $cookie ) );
	$status = is_wp_error( $answer ) ? $answer->get_error_message() : wp_remote_retrieve_response_code( $answer );
	$names  = is_wp_error( $answer ) ? array() : array_map( fn( $cookie ) => $cookie->name, wp_remote_retrieve_cookies( $answer ) );
	if ( 302 !== $status || ! preg_grep( '/^wordpress_logged_in_/', $names ) ) {
		$wrong( "{$admins[0]->user_login} cannot log in: $status" );
	}
}
echo "\n" . json_encode( $report ) . "\n";
