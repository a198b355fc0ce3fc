// go get github.com/golang-jwt/jwt/v5 github.com/MicahParks/keyfunc/v3
package main

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

var issuer = cmp.Or(os.Getenv("ISSUER"), "http://localhost:3000")
var audience = cmp.Or(os.Getenv("AUDIENCE"), "https://orders.example")

func verify(token string, keys keyfunc.Keyfunc) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(token, claims, keys.Keyfunc,
		jwt.WithValidMethods([]string{"RS256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired())
	if err != nil {
		return nil, err
	}
	if parsed.Header["typ"] != "at+jwt" {
		return nil, errors.New("not an access token")
	}
	return claims, nil
}

func main() {
	keys, err := keyfunc.NewDefault([]string{issuer + "/.well-known/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verify(os.Args[1], keys)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims)
}
